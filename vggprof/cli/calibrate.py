"""``vggprof calibrate``."""

import click

from vggprof.cli.output import Output, output_options
from vggprof.errors import UsageError


@click.command("calibrate")
@click.option("--show", is_flag=True, help="List what is remembered; nothing is measured.")
@click.option("--forget", is_flag=True, help="Drop what is remembered, and list what was dropped.")
@click.option("--gpu", metavar="NAME", default="", help="With --show and --forget: that GPU's alone.")
@output_options
def calibrate_command(*, show: bool, forget: bool, gpu: str, out: Output) -> None:
    """Measure what a process takes on the GPU that is here besides PyTorch's memory, and remember it.

    How long training steps of a few networks take is measured too. Predictions of memory and of time for that
    GPU use it then, as long as torch and the driver stay the same, and say so. Processes run one after the
    other, four for memory and some for times, best while nothing else is on the GPU. CUDA_VISIBLE_DEVICES
    chooses among several GPUs. Nothing is sent anywhere.
    """
    from vggprof import api, views

    if show and forget:
        raise UsageError("--show and --forget do not go together; --forget lists what it drops")
    if gpu and not (show or forget):
        raise UsageError(
            "--gpu goes with --show and --forget; CUDA_VISIBLE_DEVICES chooses the GPU to measure"
        )
    if forget:
        listing = api.forget_calibrations(gpu)
    elif show:
        listing = api.list_calibrations(gpu)
    else:
        listing = api.calibrate(say=lambda line: click.echo(line, err=True))
    out.write(views.calibration(listing, out.form))
