"""What was done about calibrations, and which."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vggprof.devices import calibration_files
from vggprof.devices.calibrations import Calibration, calibrations_of


class Done(StrEnum):
    """What was done with the calibrations that are listed."""

    MEASURED = "measured"  # and remembered
    REMEMBERED = "remembered"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class TimedStep:
    """What a step of one network took when a GPU was calibrated."""

    arch: str
    batch: int
    amp: str  # "off" or "fp16"
    step_ms: float  # the median
    steps: int


@dataclass(frozen=True, slots=True)
class CalibrationListing:
    """Calibrations, and the folder that they are, or were, kept in."""

    done: Done
    calibrations: tuple[Calibration, ...]
    folder: Path
    times: tuple[tuple[TimedStep, ...], ...] = ()  # of each calibration; () where nobody looked


def keep(calibration: Calibration) -> CalibrationListing:
    """Remember *calibration*; raises as `calibration_files.remember` does."""
    path = calibration_files.remember(calibration)
    return CalibrationListing(Done.MEASURED, (calibration,), path.parent)


def list_calibrations(gpu: str = "") -> CalibrationListing:
    """Return what is remembered of *gpu*: words of its name, or its UUID; all without.

    Raises FileFormatError for a file that is damaged.
    """
    found = calibrations_of(calibration_files.remembered(), gpu)
    return CalibrationListing(Done.REMEMBERED, found, calibration_files.calibration_folder())


def forget_calibrations(gpu: str = "") -> CalibrationListing:
    """Drop what is remembered of *gpu*, as in `list_calibrations`, and return it; raises as `forget` does."""
    return CalibrationListing(
        Done.FORGOTTEN, calibration_files.forget(gpu), calibration_files.calibration_folder()
    )
