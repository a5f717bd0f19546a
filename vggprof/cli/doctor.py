"""``vggprof doctor``."""

import click

from vggprof.cli.options import setup_options
from vggprof.cli.output import Output, output_options
from vggprof.errors import CheckFailed, GpuUnavailable
from vggprof.trace.setup import Setup


@click.command("doctor")
@click.argument("archs", metavar="[ARCH]...", nargs=-1)
@setup_options
@click.option(
    "--check", is_flag=True, help="Exit with 4 without a usable GPU, with 3 where one does not fit."
)
@output_options
def doctor_command(archs: tuple[str, ...], setup: Setup, out: Output, *, check: bool) -> None:
    """Say whether trainings run on the GPU that is here, and why not.

    Asked are the notebook's (vgg11-d2l, batch 32), the timing script's (vgg16, batch 32), and any ARCH. Reads
    the GPU, its driver, its free memory and who holds the rest, torch and cuDNN. Without a GPU, the smallest
    common card that would do is named.
    """
    from vggprof import api, views

    found = api.doctor(archs, setup)
    out.write(views.doctor(found, out.form))
    if check and not found.gpu_usable:
        raise GpuUnavailable("; ".join(found.troubles))
    failing = [each.workload.name for each in found.answers if not each.fits]
    if check and failing:
        raise CheckFailed(f"does not fit the GPU that is here: {', '.join(failing)}")
