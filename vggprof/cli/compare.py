"""``vggprof compare``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggprof.cli.options import archs_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("compare")
@archs_argument
@setup_options
@target_options
@click.option(
    "--what-if",
    metavar="EDIT",
    multiple=True,
    help="Set an edit of the last ARCH, a spec, beside it: 'stage1 stride 4', 'conv5_* kernel 1', "
    "'conv1_1 channels 32', '1x1 for 3x3', 'input 112', 'width 0.5', 'no classifier', 'no lrn', "
    "'add batch_norm', 'dense', 'single kernels' (docs/attribution.md says what each does). Several in one "
    "are separated by ';'.",
)
@click.option(
    "--align",
    type=click.Choice(["order", "resolution"]),
    help="Layers that are held against each other: those as far along the way, or those at one resolution.  "
    "[default: order; with branches, resolution]",
)
@click.option(
    "--measurements",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take times from the measurements in FILE, each of an ARCH as it is named here and of this setup.",
)
@output_options
def compare_command(  # noqa: PLR0913 - an option each
    archs: tuple[str, ...],
    setup: Setup,
    target: "Target",
    out: Output,
    *,
    what_if: tuple[str, ...],
    align: str | None,
    measurements: Path | None,
) -> None:
    """Set architectures side by side and say why they differ; ratios are to the first.

    Without --gpu, and without a GPU here, memory is that of tensors alone.
    """
    from vggprof import api, views

    found = api.compare(archs, setup, target, what_if=what_if, align=align, measurements=measurements)
    out.write(views.compare(found, out.form))
