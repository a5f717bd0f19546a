"""``vggprof layers``."""

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.trace.setup import Setup


@click.command("layers")
@arch_argument
@setup_options
@output_options
def layers_command(arch: str, setup: Setup, out: Output) -> None:
    """Show what each layer of ARCH costs."""
    from vggprof import api, views

    out.write(views.layers(api.layers(arch, setup), out.form))
