"""``vggprof advise``."""

from typing import TYPE_CHECKING

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("advise")
@arch_argument
@setup_options
@target_options
@output_options
def advise_command(arch: str, setup: Setup, target: "Target", out: Output) -> None:
    """Show what would make training ARCH fit a GPU, and what it costs; each change is replayed.

    The card is --gpu, or one of --gpu-memory, else the GPU that is here.
    """
    from vggprof import api, views

    out.write(views.advice(api.advise(arch, setup, target), out.form))
