"""``vggprof latency``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggprof.cli.filename import FileName
from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, as_file, output_options
from vggprof.cli.target import target_options
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("latency")
@arch_argument
@setup_options
@target_options
@click.option(
    "--execution",
    type=click.Choice(["eager", "graph"]),
    default="eager",
    show_default=True,
    help="Launched by the host, or from a CUDA graph of the whole step.",
)
@click.option("--dataset-size", metavar="IMAGES", type=int, help="Tell steps and hours of an epoch.")
@click.option("--changes", is_flag=True, help="Try what would change it: layout, precision, graph, batch.")
@click.option("--plot", is_flag=True, help="Draw images a second over batch sizes, below a table.")
@click.option("--svg", metavar="FILE", type=FileName(), help="Draw the same into FILE.")
@click.option(
    "--measurements",
    metavar="FILE|RUN",
    help="Draw times to these, of such a GPU: a file of `vggprof measure --record`, or a run.",
)
@output_options
def latency_command(  # noqa: PLR0913 - an option each
    arch: str,
    setup: Setup,
    target: "Target",
    out: Output,
    *,
    execution: str,
    dataset_size: int | None,
    changes: bool,
    plot: bool,
    svg: Path | None,
    measurements: str | None,
) -> None:
    """Show how long a step of ARCH takes on a GPU, layer by layer, and what bounds it.

    Without --gpu, and without a GPU here, a ladder of common cards answers. Times are predictions with an
    interval that holds 80 of 100 measurements. What was measured on such a GPU, by `vggprof calibrate` or in
    --measurements, draws them nearer, and the answer says so.
    """
    from vggprof import api, views

    if plot and out.form is not Form.TABLE:
        raise UsageError("--plot is text and goes with a table; --svg FILE goes with every form")
    drawing = as_file(svg)
    report = api.latency(
        arch,
        setup,
        target,
        execution=execution,
        changes=changes,
        curve=plot or drawing is not None,
        dataset_size=dataset_size,
        measurements=measurements,
    )
    out.write(views.latency(report, out.form) + (f"\n{views.latency_plot(report)}" if plot else ""))
    if drawing is not None:
        drawing.write(views.latency_svg(report))
