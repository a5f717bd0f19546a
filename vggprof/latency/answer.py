"""From a network's traces and cards to the whole answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vggprof.errors import UsageError
from vggprof.latency.curve import curve
from vggprof.latency.predict import Stopwatch
from vggprof.latency.refinement import Refinement
from vggprof.latency.report import LatencyReport, assumptions, changes_of, epoch_of
from vggprof.measurement import Execution
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.trace import Setup, Trace


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for besides the time of a step; all but the execution needs a single card."""

    execution: Execution = Execution.EAGER
    changes: bool = False  # what would change it
    curve: bool = False  # over batch sizes
    dataset_images: int | None = None

    def __post_init__(self) -> None:
        if self.dataset_images is not None and self.dataset_images < 1:
            raise UsageError(f"a data set of {self.dataset_images} images has no epoch")

    @property
    def single(self) -> bool:
        """Whether only a single card can answer."""
        return self.changes or self.curve or self.dataset_images is not None


def answer(  # noqa: PLR0913 - what a prediction is made from
    traces: Callable[[int], Trace],
    cards: Sequence[Card],
    setup: Setup,
    *,
    software: Software,
    wanted: Wanted,
    retraced: Callable[[Setup], Trace] | None = None,
    refined: Mapping[str, Refinement] | None = None,
) -> LatencyReport:
    """Return how long a step takes on each of *cards*, and what else is *wanted*.

    *traces* gives the trace at a batch, *retraced* that of another setup; without it only changes that need
    no other setup are tried. *refined* has, by the name of a GPU, what was measured on it. Raises UsageError
    where something is wanted of one card and there are several.
    """
    if wanted.single and len(cards) != 1:
        raise UsageError("an epoch, a curve and changes need a card, and no GPU is here; name one with --gpu")

    def watch(execution: Execution) -> Stopwatch:
        return Stopwatch(traces, software, execution=execution, refined=refined)

    with watch(wanted.execution) as now:
        found = tuple(now.predict(setup.batch, card.device) for card in cards)
        changes = changes_of(found[0], now, watch, retraced, setup) if wanted.changes else ()
        drawn = (
            curve(now, cards[0].device, largest_batch=_largest(traces, cards[0], software))
            if wanted.curve
            else None
        )
    return LatencyReport(
        arch=traces(setup.batch).arch,
        setup=setup,
        software=software,
        execution=wanted.execution,
        cards=found,
        changes=changes,
        epoch=None if wanted.dataset_images is None else epoch_of(found[0], wanted.dataset_images),
        curve=drawn,
        assumptions=assumptions(setup, software, wanted.execution, found),
    )


def _largest(traces: Callable[[int], Trace], card: Card, software: Software) -> int:
    """Return the largest batch that the memory of *card* likely holds."""
    with Forecast(traces, software) as forecast:
        return forecast.largest_batch(card)
