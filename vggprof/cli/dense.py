"""``vggprof dense``."""

from typing import TYPE_CHECKING

import click

from vggprof.cli.options import arch_argument
from vggprof.cli.output import Output, output_options
from vggprof.cli.target import target_options
from vggprof.errors import UsageError
from vggprof.trace.setup import Dtype, Mode, Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("dense")
@arch_argument
@click.option(
    "--scales",
    metavar="Q,Q,...",
    help="Smaller side of the image.  [default: 256,384,512 for an input of 224 pixels, else in proportion]",
)
@click.option("--batch", type=int, default=1, show_default=True, help="Images in one batch.")
@click.option(
    "--dtype",
    type=click.Choice([dtype.value for dtype in Dtype]),
    default=Dtype.FP32.value,
    show_default=True,
    help="Type of weights and input.",
)
@target_options
@output_options
def dense_command(  # noqa: PLR0913 - an option each
    arch: str, scales: str | None, target: "Target", out: Output, *, batch: int, dtype: str
) -> None:
    """Show what evaluating ARCH on whole images takes, fully convolutional, beside doing it on many crops.

    ARCH is a spec that ends in linear layers, as VGG and AlexNet do; `"ARCH with dense; input 384"` names its
    dense form wherever an ARCH is wanted.
    """
    from vggprof import api, views

    asked = None if scales is None else _scales(scales)
    setup = Setup(batch=batch, mode=Mode.INFER, dtype=Dtype(dtype))
    out.write(views.dense(api.dense(arch, asked, setup, target), out.form))


def _scales(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(scale) for scale in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} are no test scales; write them like 256,384,512") from None
