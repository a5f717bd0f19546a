"""The answer of the memory prediction: tensors alone, each card, and what it all rests on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vggprof.analyzers import TensorMemory, tensor_memory
from vggprof.devices.calibrations import SOURCE
from vggprof.memory.composition import Composition, compose
from vggprof.memory.forecast import Card, Forecast, LargestBatches, Software
from vggprof.memory.recording import Recording
from vggprof.memory.recording import record as record_run
from vggprof.memory.run import Answers, End
from vggprof.memory.series import Series, series_of
from vggprof.memory.timeline import Timeline
from vggprof.memory.verdict import (
    Prediction,
    Room,
    Status,
    least_process_bytes,
    predict,
)
from vggprof.trace import Amp, Setup, ZeroGrad

if TYPE_CHECKING:
    from vggprof.memory.advice import Advised

# CUDA 13.0 release notes: Maxwell, Pascal and Volta are no longer supported.
_FIRST_WITHOUT_OLD_GPUS, _OLDEST_OF_CUDA_13 = (13, 0), (7, 5)


@dataclass(frozen=True, slots=True)
class CardReport:
    """What a training comes to on one card."""

    card: Card
    prediction: Prediction
    largest: LargestBatches | None = None  # None where they were not searched for
    least_process_bytes: int | None = None  # that the training would get through with, where it does not fit

    @property
    def largest_batch(self) -> int | None:
        """The largest batch that likely fits, which may be TIGHT; None where it was not searched for."""
        return None if self.largest is None else self.largest.likely

    @property
    def largest_batch_fits(self) -> int | None:
        """The largest batch of which the verdict is FITS; None where it was not searched for."""
        return None if self.largest is None else self.largest.sure

    @property
    def spare_bytes(self) -> int:
        """Bytes that stay free; negative where they miss, by the least that would do if that is known."""
        if self.least_process_bytes is None:
            return self.prediction.spare_bytes
        return self.prediction.usable_bytes - self.least_process_bytes


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What training a network takes: of tensors alone, and on one card or several."""

    tensors: TensorMemory
    cards: tuple[CardReport, ...]
    composition: Composition | None  # of the peak, where there is one card
    software: Software
    assumptions: tuple[str, ...]
    recording: Recording | None = None  # of the likely run on the one card, up to the failure if it fails
    series: Series | None = None  # what is held over time; beyond the card's end where it fails
    advice: "Advised | None" = None  # what would help; None where nobody asked, or nothing has to

    @property
    def single(self) -> CardReport | None:
        """The card where there is one; None for a ladder of several."""
        return self.cards[0] if len(self.cards) == 1 else None

    @property
    def out_of_memory(self) -> bool:
        """Whether it fits none of the cards, at whichever end of what is not known."""
        return all(card.prediction.status is Status.OOM for card in self.cards)

    @property
    def arch(self) -> str:
        """The architecture as it was named."""
        return self.tensors.arch

    @property
    def setup(self) -> Setup:
        """How it is run."""
        return self.tensors.setup


def report(
    forecast: Forecast, batch: int, cards: Sequence[Card], *, search: bool = True, record: bool = False
) -> MemoryReport:
    """Predict training at *batch* on each of *cards*.

    On a single one, *search* for the largest batch too, and *record* every allocation.
    """
    tensors = tensor_memory(forecast.traces(batch))
    if len(cards) != 1:
        reports = tuple(CardReport(card, forecast.predict(batch, card)) for card in cards)
        return _reported(forecast, batch, tensors, reports, None)
    (card,) = cards
    line, answers, room = forecast.asked(batch, card)
    prediction = predict(line, answers, room)
    failing = prediction.machine.capacity_bytes is None
    largest = _largest(forecast, card, None if failing else batch) if search else None
    least = least_process_bytes(line, answers, room, prediction) if failing else None
    composition = compose(line, answers, prediction)
    only = CardReport(card, prediction, largest, least)
    reported = _reported(forecast, batch, tensors, (only,), composition)
    return _with_recording(reported, line, answers, room) if record else reported


def _largest(forecast: Forecast, card: Card, fitting: int | None) -> LargestBatches:
    """Return the largest batches; from *fitting*, where that is beyond the edge that is found."""
    largest = forecast.largest_batches(card)
    if fitting is not None and fitting > largest.likely:
        return forecast.largest_batches(card, start=fitting)
    return largest


def _with_recording(reported: MemoryReport, line: Timeline, answers: Answers, room: Room) -> MemoryReport:
    """Add the likely run on the card, and what is held during it; where it fails, during one without end."""
    machine = room.machine(End.LIKELY)
    recording = record_run(line, answers, machine)
    fits = recording.failure is None
    drawn = recording if fits else record_run(line, answers, room.endless)
    most = min(n for n in (machine.capacity_bytes, machine.limit_bytes) if n is not None)
    return replace(reported, recording=recording, series=series_of(drawn, most, fits=fits))


def _reported(
    forecast: Forecast,
    batch: int,
    tensors: TensorMemory,
    cards: tuple[CardReport, ...],
    composition: Composition | None,
) -> MemoryReport:
    said = tuple(_assumptions(forecast, batch, tensors.setup, cards))
    return MemoryReport(tensors, cards, composition, forecast.software, said)


def _assumptions(
    forecast: Forecast, batch: int, setup: Setup, cards: tuple[CardReport, ...]
) -> Iterator[str]:
    yield from _loop(setup)
    yield from _software(forecast.software, asked=any(not card.prediction.unanswered for card in cards))
    for card in cards:
        yield from _unknown(card, forecast.software)
    unruled = forecast.unruled(batch, cards[0].card) if cards else ()
    if unruled:
        yield f"Not known, and counted as nothing: memory of their own that {', '.join(unruled)} may take."
    yield from _contexts(forecast, batch, [card.card for card in cards])
    yield "Nothing else of the process uses the GPU, and Linux's driver runs it."
    if len(cards) == 1:
        yield (
            "The largest batch is one that fits, at the likely context, where the next does not. Other "
            "batches get other algorithms: a somewhat larger one may fit again, and a smaller one fail."
        )
    for held in {card.card.held_by_others_bytes for card in cards} - {0}:
        yield f"Other processes go on holding the {held:,} bytes that they hold now."


def _contexts(forecast: Forecast, batch: int, cards: Sequence[Card]) -> Iterator[str]:
    """Yield which calibration says the context of which card, and where the others' comes from."""
    trace = forecast.traces(batch)
    calibrated = [card for card in cards if forecast.calibrated(trace, card) is not None]
    for card in calibrated:
        yield _calibrated(card)
    for card in cards:
        yield from card.notes
    if len(calibrated) < len(cards):
        where = "Elsewhere the" if calibrated else "The"
        yield (
            f"{where} context (driver, kernels of torch, cuDNN and cuBLAS) is a range from published "
            "figures; it is part of the process, not of what PyTorch reserves."
        )


def _calibrated(card: Card) -> str:
    calibration = card.calibration
    assert calibration is not None
    what = "context and usable memory" if card.device.usable_source == SOURCE else "the context"
    caution = "" if calibration.caution is None else f" ({calibration.caution})"
    return (
        f"{card.device.name}: {what} as `vggprof calibrate` measured on {calibration.measured[:10]} with "
        f"{calibration.made_with}{caution}. A kernel is loaded when it is first used, so the context lies "
        "between what one call of each kind that the training runs takes, and a variety of them."
    )


def _unknown(card: CardReport, software: Software) -> Iterator[str]:
    device, reasons = card.prediction.device, card.prediction.unanswered
    if reasons and software.cudnn.library is not None:
        yield f"{device.name}: workspaces of cuDNN are a range, because {'; '.join(reasons)}."
    if software.cuda >= _FIRST_WITHOUT_OLD_GPUS and device.capability < _OLDEST_OF_CUDA_13:
        yield (
            f"{device.name}: CUDA 13 knows no compute capability below 7.5; torch for this GPU has to be one "
            "that was built for CUDA 12."
        )


def _loop(setup: Setup) -> Iterator[str]:
    if not setup.training:
        yield (
            "Inference is in eval mode under no_grad; the batch and the output stay bound until the next "
            "step binds them again."
        )
        return
    freed = setup.zero_grad is ZeroGrad.NONE
    yield (
        f"The loop is the plain one: the batch moves in, zero_grad(set_to_none={freed}), forward, cross "
        "entropy, backward, step; the batch, the output and the loss stay bound until the next step binds "
        "them again. No validation in between."
    )
    if setup.accumulate > 1:
        yield (
            f"Each step moves in and runs {setup.accumulate} micro-batches, one after the other; zero_grad "
            "comes before the first one's forward pass, the optimizer after the last one's backward pass."
        )
    yield "The optimizer works on all parameters at once (foreach), as torch.optim does on CUDA."
    if setup.amp is Amp.FP16:
        yield "No gradient is infinite, so that the GradScaler skips no step."


def _software(software: Software, *, asked: bool) -> Iterator[str]:
    torch = ".".join(map(str, software.torch))
    choice, settings = software.cudnn, software.settings
    if choice.library is not None and asked:
        yield f"torch {torch} with cuDNN {choice.library.version}, whose own heuristics were asked."
    else:
        yield f"torch {torch}; cuDNN could not be asked, so that its workspaces are a range."
    if choice.note:
        yield f"About cuDNN: {choice.note}."
    tf32 = "allowed" if settings.allow_tf32 else "not allowed"
    yield (
        f"TF32 in convolutions {tf32}{', deterministic algorithms only' if settings.deterministic else ''}; "
        f"cudnn.benchmark {'on: which plan is the fastest is a range' if settings.benchmark else 'off'}."
    )
