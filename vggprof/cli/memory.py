"""``vggprof memory``."""

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.trace.setup import Setup


@click.command("memory")
@arch_argument
@setup_options
@output_options
def memory_command(arch: str, setup: Setup, out: Output) -> None:
    """Show what is in memory when training ARCH, and at the peak."""
    from vggprof import api, views

    out.write(views.memory(api.memory(arch, setup), out.form))
