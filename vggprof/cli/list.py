"""``vggprof list``."""

import click

from vggprof.cli.output import Output, output_options


@click.command("list")
@output_options
def list_command(out: Output) -> None:
    """List the shipped architectures."""
    from vggprof import api, views

    out.write(views.specs(api.list_specs(), out.form))
