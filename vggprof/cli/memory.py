"""``vggprof memory``."""

from typing import TYPE_CHECKING

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("memory")
@arch_argument
@setup_options
@target_options
@output_options
def memory_command(arch: str, setup: Setup, target: "Target", out: Output) -> None:
    """Show what training ARCH takes on a GPU, whether it fits, and where it fails if not.

    Without --gpu, and without a GPU here, a ladder of common cards answers.
    """
    from vggprof import api, views

    out.write(views.memory(api.memory(arch, setup, target), out.form))
