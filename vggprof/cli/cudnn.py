"""``vggprof cudnn``."""

import click

from vggprof.cli.output import Output, output_options


@click.group("cudnn")
def cudnn_command() -> None:
    """Say which cuDNN libraries can be asked for workspaces."""


@cudnn_command.command("list")
@output_options
def list_command(out: Output) -> None:
    """List the cuDNN libraries at hand, and which one answers for which torch.

    Looked for are the packages of this Python, the system's libraries, and the places that VGGPROF_CUDNN_PATH
    names: libraries, their folders, or folders of `pip install --target`. None of them is loaded.
    """
    from vggprof import api, views

    out.write(views.libraries(api.list_cudnn(), out.form))
