"""The verdict on one card, in sentences that several results share."""

from collections.abc import Iterator

from vggprof.memory.forecast import LargestBatches, Software
from vggprof.memory.report import CardReport
from vggprof.memory.run import Failure
from vggprof.memory.verdict import Status
from vggprof.units import format_bytes


def verdict(only: CardReport) -> Iterator[str]:
    """Yield whether it fits, by how much, and where it fails if not.

    ``GeForce RTX 3060 12GB: FITS, 4.90 GiB to spare of 11.63 GiB usable``
    """
    prediction = only.prediction
    spare, usable = format_bytes(abs(only.spare_bytes)), format_bytes(prediction.usable_bytes)
    rest = f"{spare} to spare" if only.spare_bytes >= 0 else f"{spare} too little"
    yield f"{prediction.device.name}: {prediction.status.value}, {rest} of {usable} usable"
    most, high = prediction.process.high, prediction.usable.high
    if prediction.usable_bytes < most <= high:
        yield f"Up to {format_bytes(high)} may be usable; of so much it takes up to {format_bytes(most)}."
    if only.largest is not None:
        yield f"Largest batch that fits: {_say_largest(only.largest)}"
    if prediction.status is Status.TIGHT:
        yield "Tight: it fits if what is not known exactly turns out well, and not if it turns out badly."
    if prediction.failure is not None:
        yield say_failing(prediction.failure)
        yield f"PyTorch will say: {prediction.oom_message}"


def _say_largest(largest: LargestBatches) -> str:
    if largest.sure == largest.likely:
        return str(largest.likely)
    sure = f"{largest.sure} is the largest that FITS" if largest.sure else "none FITS"
    return f"{largest.likely}, which is TIGHT; {sure}"


def say_software(software: Software) -> str:
    """Return ``With torch 2.15 and cuDNN 9.26.0.51``."""
    library = software.cudnn.library
    cudnn = "no cuDNN to ask" if library is None else f"cuDNN {library.version}"
    return f"With torch {'.'.join(map(str, software.torch))} and {cudnn}"


def say_failing(failure: Failure) -> str:
    """Return where a training fails, and asking for what."""
    place = failure.place
    step = "while the model moves in" if place.step is None else f"in step {place.step}, {place.phase.value}"
    at = f", at {place.layer}" if place.layer else ""
    op = f" ({place.op})" if place.op else ""
    return f"Fails {step}{at}{op}, asking for {format_bytes(failure.oom.requested_bytes)}"
