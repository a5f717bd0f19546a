"""``vggprof check``."""

from typing import TYPE_CHECKING

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.errors import CheckFailed
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("check")
@arch_argument
@setup_options
@target_options
@click.option(
    "--max-memory",
    metavar="SIZE",
    help="Most that the whole process may take, like 8GiB; alone, also the size of the card.",
)
@click.option("--allow-tight", is_flag=True, help="Pass also what fits only if the unknown turns out well.")
@output_options
def check_command(  # noqa: PLR0913 - what was asked
    *,
    arch: str,
    setup: Setup,
    target: "Target",
    max_memory: str | None,
    allow_tight: bool,
    out: Output,
) -> None:
    """Pass (exit 0) if training ARCH fits the GPU and the limit, else fail (exit 3).

    The card is --gpu, else one of --gpu-memory or --max-memory, else the GPU that is here.
    """
    from vggprof import api, views

    gate = api.check(arch, setup, target, max_memory=max_memory, allow_tight=allow_tight)
    out.write(views.check(gate, out.form))
    if not gate.passed:
        raise CheckFailed(views.check_failed(gate))
