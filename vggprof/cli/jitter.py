"""``vggprof jitter``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vggprof.cli.options import arch_argument, setup_options
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.errors import UsageError
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target
    from vggprof.workloads.jitter import Scales


@click.command("jitter")
@arch_argument
@setup_options
@target_options
@click.option(
    "--scales",
    metavar="S,LOW-HIGH,...",
    default="256,384,256-512",
    show_default=True,
    help="Smaller sides that images are rescaled to; a range draws one for each image.",
)
@click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path), help="Folder of pictures.  [default: made ones]"
)
@click.option("--workers", metavar="N", type=int, default=0, show_default=True, help="Of the DataLoader.")
@click.option(
    "--seconds", metavar="S", type=float, default=2.0, show_default=True, help="To measure each scale for."
)
@click.option("--step-ms", metavar="MS", type=float, help="What a step takes.  [default: as predicted]")
@click.option(
    "--epoch-images", metavar="N", type=int, default=1_281_167, show_default=True, help="Images of an epoch."
)
@output_options
def jitter_command(
    arch: str,
    setup: Setup,
    target: "Target",
    out: Output,
    *,
    scales: str,
    **planned: Any,  # noqa: ANN401 - what `JitterPlan` holds
) -> None:
    """Show what training ARCH at random scales costs against fixed ones, and whether steps wait for images.

    The pipeline runs for real, on Pillow (pip install 'vggprof[train]'); steps are predicted for the GPU of
    --gpu, the one that is here, or a ladder of common cards.
    """
    from vggprof import api, views
    from vggprof.workloads.jitter import JitterPlan

    plan = JitterPlan(scales=tuple(map(_scales, scales.split(","))), **planned)
    out.write(views.jitter(api.jitter(arch, setup, target, plan), out.form))


def _scales(text: str) -> "Scales":
    from vggprof.workloads.jitter import Scales

    low, dash, high = text.partition("-")
    try:
        return Scales(int(low), int(high if dash else low))
    except ValueError:
        raise UsageError(f"{text!r} is no scale; write 256, or 256-512 to draw one for each image") from None
