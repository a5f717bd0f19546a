"""A network's training on GPUs that are not here: predictions, and the largest batches that fit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Self

from vggprof.devices import Device, Range
from vggprof.devices.calibrations import Calibration
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.context import calibrated_context, published_context
from vggprof.memory.rules import Platform
from vggprof.memory.run import Answers
from vggprof.memory.search import largest_batch
from vggprof.memory.timeline import Timeline, timeline
from vggprof.memory.verdict import Prediction, Room, fits, predict, surely_fits
from vggprof.memory.workspaces.advisor import Advisor
from vggprof.memory.workspaces.blas import BlasSettings
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.scratch import Target
from vggprof.memory.workspaces.targets import Choice
from vggprof.trace import Trace


@dataclass(frozen=True, slots=True)
class Software:
    """What the training runs with, on whichever GPU."""

    torch: tuple[int, int]
    cuda: tuple[int, int]
    cudnn: Choice
    settings: CudnnSettings
    allocator: AllocatorConfig
    blas: BlasSettings = field(default_factory=BlasSettings)


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU, and what of its memory is gone."""

    device: Device
    held_by_others_bytes: int = 0
    limit_bytes: int | None = None  # torch.cuda.set_per_process_memory_fraction
    context: Range | None = None  # where it was measured, whatever the training
    calibration: Calibration | None = None  # what was measured here, by what the training runs
    notes: tuple[str, ...] = ()  # sentences on how these were chosen


@dataclass(frozen=True, slots=True)
class LargestBatches:
    """Edges of what fits on a card: batches that do where the next one does not; 0 where none does."""

    likely: int
    sure: int  # at every end of what is not known; at most `likely`


class Forecast:
    """Predictions for one network and setup at any batch; close it, or use it in a with statement.

    *traces* gives the trace at a batch.
    """

    def __init__(self, traces: Callable[[int], Trace], software: Software) -> None:
        self.traces = traces
        self.software = software
        self._advisor = Advisor(software.cudnn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._advisor.close()

    def start(self, cards: Iterable[Card]) -> None:
        """Start what will be asked about *cards*, so that it loads while a trace is made."""
        for card in cards:
            self._advisor.start(properties_of(card.device))

    def predict(self, batch: int, card: Card) -> Prediction:
        """Return what training at *batch* takes on *card*, and how that ends."""
        return predict(*self.asked(batch, card))

    def largest_batch(self, card: Card, *, start: int = 32) -> int:
        """Return the largest batch that likely fits on *card*; unknown workspaces count at their high end."""
        return largest_batch(lambda batch: fits(*self.asked(batch, card)), start=start)

    def largest_batches(self, card: Card, *, start: int = 32) -> LargestBatches:
        """Return the largest batch that likely fits on *card*, and the largest that gets the verdict FITS."""
        asked = cache(lambda batch: self.asked(batch, card))
        likely = largest_batch(lambda batch: fits(*asked(batch)), start=start)
        if not likely or surely_fits(*asked(likely)):
            return LargestBatches(likely, likely)
        return LargestBatches(likely, largest_batch(lambda batch: surely_fits(*asked(batch)), start=start))

    def asked(self, batch: int, card: Card) -> tuple[Timeline, Answers, Room]:
        """Return what the allocator of *card* is asked at *batch*, with cuDNN's answers, and its room."""
        platform = self._platform(card.device)
        line = timeline(self.traces(batch), platform.script)
        answers = self._advisor.answers(line.asked, platform.target.device)
        return line, answers, self._room(card, self.context(self.traces(batch), card))

    def context(self, trace: Trace, card: Card) -> Range:
        """Return what the training of *trace* holds outside the allocator of *card*."""
        return (
            card.context or self.calibrated(trace, card) or published_context(card.device, self.software.cuda)
        )

    def calibrated(self, trace: Trace, card: Card) -> Range | None:
        """Return what the calibration of *card* says of *trace*; None where there is none that tells."""
        if card.calibration is None:
            return None
        return calibrated_context(card.calibration, trace, benchmark=self.software.settings.benchmark)

    def unruled(self, batch: int, card: Card) -> tuple[str, ...]:
        """Return the names of operators of whose own memory nothing is known, each once."""
        return self._platform(card.device).unruled(self.traces(batch).operators)

    def _platform(self, device: Device) -> Platform:
        software = self.software
        library = software.cudnn.library
        numbers = (9, 0, 0) if library is None else library.numbers[:3]
        major, minor, patch = numbers
        return Platform(
            target=Target(properties_of(device), software.torch, software.blas),
            cudnn_version=major * 10_000 + minor * 100 + patch,
            settings=software.settings,
        )

    def _room(self, card: Card, context: Range) -> Room:
        return Room(
            device=card.device,
            config=self.software.allocator,
            context=context,
            held_by_others_bytes=card.held_by_others_bytes,
            limit_bytes=card.limit_bytes,
        )


def properties_of(device: Device) -> DeviceProperties:
    """Return what cuDNN wants to know of *device*."""
    return DeviceProperties(
        name=device.torch_name,
        capability=device.capability,
        sm_count=device.sm_count,
        sm_clock_khz=device.boost_khz,
        memory_clock_khz=device.memory_khz,
        l2_bytes=device.l2_bytes,
        memory_bytes=device.usable.likely,
    )
