"""``vggprof memory``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggprof.cli.filename import FileName
from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, as_file, output_options
from vggprof.cli.target import target_options
from vggprof.errors import CheckFailed, UsageError
from vggprof.forms import Form
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("memory")
@arch_argument
@setup_options
@target_options
@click.option("--plot", is_flag=True, help="Draw what is held over the training, below a table.")
@click.option("--svg", metavar="FILE", type=FileName(), help="Draw the same into FILE.")
@click.option(
    "--snapshot",
    metavar="FILE",
    type=FileName(),
    help="Write the predicted run as torch.cuda.memory._dump_snapshot would, for torch's own viewers.",
)
@click.option("--fail-on-oom", is_flag=True, help="Exit with 3 after an answer of OOM (on every card).")
@output_options
def memory_command(  # noqa: PLR0913 - an option each
    arch: str,
    setup: Setup,
    target: "Target",
    out: Output,
    *,
    plot: bool,
    svg: Path | None,
    snapshot: Path | None,
    fail_on_oom: bool,
) -> None:
    """Show what training ARCH takes on a GPU, whether it fits, and where it fails if not.

    Without --gpu, and without a GPU here, a ladder of common cards answers.
    """
    from vggprof import api, views

    if plot and out.form is not Form.TABLE:
        raise UsageError("--plot is text and goes with a table; --svg FILE goes with every form")
    drawing, taken = as_file(svg), as_file(snapshot)
    record = plot or drawing is not None or taken is not None
    report = api.memory(arch, setup, target, record=record)
    out.write(views.memory(report, out.form) + (f"\n{views.memory_plot(report)}" if plot else ""))
    if drawing is not None:
        drawing.write(views.memory_svg(report))
    if taken is not None:
        taken.write_bytes(views.memory_snapshot(report))
    if fail_on_oom and report.out_of_memory:
        raise CheckFailed(f"{arch} at batch {setup.batch} runs out of memory")
