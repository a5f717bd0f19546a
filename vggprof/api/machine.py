"""What can be asked about machines: GPUs, cuDNN libraries, and what was calibrated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from vggprof.api.networks import trace_arch

if TYPE_CHECKING:
    from vggprof.devices.calibration_listing import CalibrationListing, TimedStep
    from vggprof.devices.listing import GpuListing
    from vggprof.measurement import Measurement
    from vggprof.memory.workspaces.listing import CudnnListing


def list_gpus(pattern: str = "") -> GpuListing:
    """Return the GPUs that *pattern* finds (words, a name or a device file), and those that are here.

    Raises DeviceError with the nearest names where nothing fits.
    """
    from vggprof.devices import listing

    return listing.list_gpus(pattern)


def list_cudnn() -> CudnnListing:
    """Return the cuDNN libraries at hand, and which of them answers for which torch."""
    from vggprof.memory.workspaces import listing

    return listing.list_cudnn()


def calibrate(say: Callable[[str], None] = lambda _: None) -> CalibrationListing:
    """Measure what processes hold besides PyTorch's memory on the GPU of this machine, and remember it.

    How long steps of a few networks take is measured and remembered too, as far as they run there.
    *say* hears what is going on. Raises GpuUnavailable where no GPU can be measured, UsageError where nothing
    can be remembered, FileFormatError where what is remembered is damaged.
    """
    from vggprof.devices import calibration_files, calibration_listing
    from vggprof.measurement import write_measurements
    from vggprof.profiler import calibration, calibration_times

    gpu = calibration.gpu_to_measure()
    calibration_files.check_writable()
    listing = calibration_listing.keep(calibration.calibrate(gpu, say))
    (kept,), (here, _) = listing.calibrations, gpu
    timed = calibration_times.time_steps(here, trace_arch, say)
    path = calibration_files.times_file(kept)
    path.unlink(missing_ok=True)
    if timed:
        write_measurements(timed, path)
    return _with_times(listing)


def list_calibrations(gpu: str = "") -> CalibrationListing:
    """Return the calibrations that are remembered of *gpu* (words of its name, or its UUID); all without.

    Raises FileFormatError where one of them is damaged.
    """
    from vggprof.devices import calibration_listing

    return _with_times(calibration_listing.list_calibrations(gpu))


def forget_calibrations(gpu: str = "") -> CalibrationListing:
    """Drop the calibrations of *gpu* with their times, as in `list_calibrations`, and return them.

    Raises as that does, and UsageError where a file cannot be removed.
    """
    from vggprof.devices import calibration_listing

    return calibration_listing.forget_calibrations(gpu)


def _with_times(listing: CalibrationListing) -> CalibrationListing:
    """Return *listing* with the times that are kept beside each calibration. Raises FileFormatError."""
    from vggprof.devices.calibration_files import times_file
    from vggprof.measurement import read_measurements

    kept = [times_file(one) for one in listing.calibrations]
    times = tuple(_steps(read_measurements(path)) if path.exists() else () for path in kept)
    return replace(listing, times=times)


def _steps(measurements: Iterable[Measurement]) -> tuple[TimedStep, ...]:
    from vggprof.devices.calibration_listing import TimedStep
    from vggprof.measurement import summarize

    return tuple(
        TimedStep(
            each.conditions.arch,
            each.conditions.setup.batch,
            each.conditions.setup.amp.value,
            step.median_ms,
            step.n,
        )
        for each in measurements
        if each.timing is not None and (step := summarize(each.timing.step))
    )
