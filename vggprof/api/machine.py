"""What can be asked about machines: GPUs, cuDNN libraries, and what was calibrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vggprof.devices.calibration_listing import CalibrationListing
    from vggprof.devices.listing import GpuListing
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

    *say* hears what is going on. Raises GpuUnavailable where no GPU can be measured, UsageError where nothing
    can be remembered, FileFormatError where what is remembered is damaged.
    """
    from vggprof.devices import calibration_files, calibration_listing
    from vggprof.profiler import calibration

    gpu = calibration.gpu_to_measure()
    calibration_files.check_writable()
    return calibration_listing.keep(calibration.calibrate(gpu, say))


def list_calibrations(gpu: str = "") -> CalibrationListing:
    """Return the calibrations that are remembered of *gpu* (words of its name, or its UUID); all without.

    Raises FileFormatError where one of them is damaged.
    """
    from vggprof.devices import calibration_listing

    return calibration_listing.list_calibrations(gpu)


def forget_calibrations(gpu: str = "") -> CalibrationListing:
    """Drop the calibrations of *gpu*, as in `list_calibrations`, and return them.

    Raises as that does, and UsageError where a file cannot be removed.
    """
    from vggprof.devices import calibration_listing

    return calibration_listing.forget_calibrations(gpu)
