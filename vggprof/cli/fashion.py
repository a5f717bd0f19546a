"""``vggprof fashion``."""

from pathlib import Path

import click

from vggprof.cli.output import Output, output_options
from vggprof.cli.progress import progress


@click.command("fashion")
@click.option(
    "--data",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with Fashion-MNIST's (or MNIST's) four idx files, gzipped.",
)
@click.option(
    "--arch", default="vgg11-d2l", show_default=True, help="Network for one channel and ten classes."
)
@click.option("--samples", metavar="N", type=int, help="Only the first N training and N test images.")
@click.option("--epochs", metavar="N", type=int, default=5, show_default=True, help="Times through them.")
@click.option("--batch", type=int, default=32, show_default=True, help="Images in one batch.")
@click.option("--learning-rate", type=float, default=0.05, show_default=True, help="Of plain SGD.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    show_default=True,
    help="Where to run; auto is the GPU that torch can use here, else the CPU.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and order.")
@output_options
def fashion_command(out: Output, **said: object) -> None:
    """Train VGG-11 on Fashion-MNIST for real, evaluate it, and set its memory beside the prediction.

    Images are enlarged from 28 to 224 pixels by Pillow (pip install 'vggprof[train]').
    """
    from vggprof import api, views
    from vggprof.workloads.fashion import FashionPlan

    with progress() as say:
        report = api.fashion(FashionPlan(**said), say)  # type: ignore[arg-type]  # the options above
    out.write(views.fashion(report, out.form))
