"""The grid behind a page: each batch, GPU and optimizer with its verdict, as `vggprof memory` gives it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.run import Failure
from vggprof.memory.search import largest_batch
from vggprof.memory.verdict import Estimate, Prediction, Status, fits
from vggprof.trace import Optimizer, Setup

# What a slider offers besides the batch that was asked about.
BATCHES = tuple(2**power for power in range(10))
# One for each amount of state that torch's optimizers keep: none, one and two numbers a parameter.
OPTIMIZERS = (Optimizer.SGD, Optimizer.MOMENTUM, Optimizer.ADAM)


@dataclass(frozen=True, slots=True)
class Point:
    """What one batch comes to."""

    batch: int
    status: Status
    allocated: Estimate
    reserved: Estimate
    process: Estimate
    failure: Failure | None
    largest_batch: int | None  # None where no other batch can be traced


@dataclass(frozen=True, slots=True)
class Slice:
    """Every batch on one card under one setup, whose own batch is the one that was asked about."""

    card: Card
    setup: Setup
    usable_bytes: int
    points: tuple[Point, ...]  # by batch

    @property
    def largest_batch(self) -> int | None:
        """The largest batch that fits, found without a word about another; None where it is not known."""
        return self.points[0].largest_batch


def batches(setup: Setup) -> tuple[int, ...]:
    """Return the batches of a grid around *setup*."""
    return tuple(sorted({*BATCHES, setup.batch}))


def setups(setup: Setup, optimizers: Sequence[Optimizer] = OPTIMIZERS) -> tuple[Setup, ...]:
    """Return *setup* with each of *optimizers*, and its own; inference has none to choose."""
    if not setup.training:
        return (setup,)
    chosen = dict.fromkeys((*optimizers, setup.optimizer))
    return tuple(replace(setup, optimizer=optimizer) for optimizer in chosen)


def slices(
    forecasting: Callable[[Setup], Forecast], setups: Sequence[Setup], cards: Sequence[Card], *, search: bool
) -> Iterator[Slice]:
    """Yield a slice for each of *setups* on each of *cards*; without *search* the setup's own batch alone."""
    for setup in setups:
        with forecasting(setup) as forecast:
            for card in cards:
                yield _slice(forecast, setup, card, search=search)


def _slice(forecast: Forecast, setup: Setup, card: Card, *, search: bool) -> Slice:
    chosen = batches(setup) if search else (setup.batch,)
    predictions = {batch: forecast.predict(batch, card) for batch in chosen}
    edge = _Edge(forecast, card, predictions) if search else None
    points = tuple(_point(batch, each, edge) for batch, each in predictions.items())
    return Slice(card, setup, predictions[setup.batch].usable_bytes, points)


def _point(batch: int, prediction: Prediction, edge: "_Edge | None") -> Point:
    return Point(
        batch=batch,
        status=prediction.status,
        allocated=prediction.peak_allocated,
        reserved=prediction.peak_reserved,
        process=prediction.process,
        failure=prediction.failure,
        largest_batch=None if edge is None else edge.seen_from(batch),
    )


class _Edge:
    """The largest batch on one card, as `memory.report` finds it; what was predicted is not run again."""

    def __init__(self, forecast: Forecast, card: Card, predictions: dict[int, Prediction]) -> None:
        self._forecast, self._card = forecast, card
        self._known = {batch: likely_fits(each) for batch, each in predictions.items()}
        self._largest = largest_batch(self._fits)

    def seen_from(self, batch: int) -> int:
        """Return it; where *batch* fits beyond it, the one that is found from there."""
        if batch <= self._largest or not self._known[batch]:
            return self._largest
        return largest_batch(self._fits, start=batch)

    def _fits(self, batch: int) -> bool:
        if batch not in self._known:
            self._known[batch] = fits(*self._forecast.asked(batch, self._card))
        return self._known[batch]


def likely_fits(prediction: Prediction) -> bool:
    """Whether the likely run got through on the card itself."""
    return prediction.machine.capacity_bytes is not None
