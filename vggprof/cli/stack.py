"""``vggprof stack``."""

from typing import TYPE_CHECKING

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("stack")
@arch_argument
@setup_options
@target_options
@output_options
def stack_command(arch: str, setup: Setup, target: "Target", out: Output) -> None:
    """Show what stacks of convolutions in ARCH cost beside single ones that see as much.

    For the VGG paper's configurations, also what 1x1 convolutions and normalization cost, and the errors that
    were published. Times are predicted for the GPU of --gpu or the one that is here.
    """
    from vggprof import api, views

    out.write(views.stack(api.stack(arch, setup, target), out.form))
