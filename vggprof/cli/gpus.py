"""``vggprof gpus``."""

import click

from vggprof.cli.output import Output, output_options


@click.command("gpus")
@click.argument("pattern", nargs=-1)
@output_options
def gpus_command(pattern: tuple[str, ...], out: Output) -> None:
    """List the GPUs that are known, and the one that is here.

    PATTERN is words of a name, a generation, a form (laptop, datacentre) or a compute capability: 3060,
    "RTX 3060", ampere laptop, 8.6. It may also be the path of a device file.
    """
    from vggprof import api, views

    out.write(views.devices(api.list_gpus(" ".join(pattern)), out.form))
