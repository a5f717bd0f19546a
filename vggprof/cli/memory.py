"""``vggprof memory``."""

from typing import TYPE_CHECKING

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.errors import CheckFailed
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("memory")
@arch_argument
@setup_options
@target_options
@click.option("--fail-on-oom", is_flag=True, help="Exit with 3 after an answer of OOM (on every card).")
@output_options
def memory_command(arch: str, setup: Setup, target: "Target", out: Output, *, fail_on_oom: bool) -> None:
    """Show what training ARCH takes on a GPU, whether it fits, and where it fails if not.

    Without --gpu, and without a GPU here, a ladder of common cards answers.
    """
    from vggprof import api, views

    report = api.memory(arch, setup, target)
    out.write(views.memory(report, out.form))
    if fail_on_oom and report.out_of_memory:
        raise CheckFailed(f"{arch} at batch {setup.batch} runs out of memory")
