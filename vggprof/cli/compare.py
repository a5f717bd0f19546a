"""``vggprof compare``."""

import click

from vggprof.cli.options import archs_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.trace.setup import Setup


@click.command("compare")
@archs_argument
@setup_options
@output_options
def compare_command(archs: tuple[str, ...], setup: Setup, out: Output) -> None:
    """Set architectures side by side; ratios are to the first."""
    from vggprof import api, views

    out.write(views.compare(api.compare(archs, setup), out.form))
