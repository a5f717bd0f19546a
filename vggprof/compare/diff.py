"""Two measurements of one thing: what has changed, and whether that is more than noise.

A time has changed beyond noise where the bootstrap intervals of its two medians do not overlap. That is
strict: intervals of 95 % that just touch stand for a difference that chance alone makes in fewer than one of
a hundred cases (Schenker and Gentleman 2001, The American Statistician 55:3). Of fewer than `MIN_SAMPLES`
nothing is said, for they have no interval to speak of. What the allocator counts is
exact, and any change of it is one. Of the process's memory and of layers' times a measurement has one figure,
without its noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from vggprof.measurement import LayerTime, Measurement, Status, Summary, summarize

# The bootstrap's median of n samples is their least wherever more than half of the n draws, each 1 of n, are
# that one: of 5 in 5.8 % of cases, of 6 in 0.87 %. The interval of 95 % leaves out 2.5 % at either end, so
# that up to 5 samples it is all the way from the least to the greatest, whatever their number.
MIN_SAMPLES = 6

# What both have to share so that a limit on their growth means something.
_ESSENTIAL = ("arch", "batch", "mode", "device", "device_name", "protocol")

_COUNTED = ("peak_allocated_bytes", "peak_reserved_bytes")
_SAMPLED = ("process_bytes",)


class Finding(StrEnum):
    """What is to be said of one change."""

    SAME = "same"  # equal, or within noise
    BETTER = "better"
    WORSE = "worse"
    UNKNOWN = "unknown"  # changed, and how much noise there is is not known
    TOO_FEW = "too_few_samples"  # of a time, to tell a change from noise


@dataclass(frozen=True, slots=True)
class Change:
    """One quantity in both; all of them are better when they are smaller."""

    name: str  # "step_ms", "peak_allocated_bytes", or the layer's
    first: float
    second: float
    finding: Finding
    first_interval: tuple[float, float] | None = None  # bootstrap interval of the median, of a time
    second_interval: tuple[float, float] | None = None
    first_n: int | None = None  # samples, of a time
    second_n: int | None = None

    @property
    def growth(self) -> float | None:
        """How much more the second is, as a share of the first; None where the first is nothing."""
        return (self.second - self.first) / self.first if self.first else None

    def beyond(self, limit: float) -> bool:
        """Whether the second is larger by more than *limit*, a share of the first."""
        return self.second - self.first > limit * self.first


@dataclass(frozen=True, slots=True)
class Unlike:
    """Something about the two measurements that was not the same, so that they may not compare."""

    what: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Two measurements beside each other; *first_name* and *second_name* are what the user called them."""

    first_name: str
    second_name: str
    first: Measurement
    second: Measurement
    times: tuple[Change, ...]
    memory: tuple[Change, ...]
    layers: tuple[Change, ...]  # forward and backward together
    unlike: tuple[Unlike, ...]

    @property
    def broken(self) -> bool:
        """Whether the first ran to its end and the second did not."""
        return self.first.status is Status.OK and self.second.status is not Status.OK

    @property
    def essential(self) -> tuple[Unlike, ...]:
        """What is so unlike that the two are measurements of different things."""
        return tuple(each for each in self.unlike if each.what in _ESSENTIAL)

    def undecided(self, limit: float) -> tuple[Change, ...]:
        """Return the times that are larger by more than *limit*, a share, with too few samples to tell."""
        few = (change for change in self.times if change.finding is Finding.TOO_FEW)
        return tuple(change for change in few if change.beyond(limit))

    def regressions(self, limit: float) -> tuple[Change, ...]:
        """Return what is worse by more than *limit*, a share; memory whose noise is not known counts too."""
        worse = [change for change in self.times if change.finding is Finding.WORSE]
        grown = [change for change in self.memory if change.finding in (Finding.WORSE, Finding.UNKNOWN)]
        return tuple(change for change in (*worse, *grown) if change.beyond(limit))


def diff(first: Measurement, second: Measurement, names: tuple[str, str] = ("first", "second")) -> RunDiff:
    """Return what has changed from *first* to *second*; quantities that one of them lacks are left out."""
    return RunDiff(
        *names,
        first=first,
        second=second,
        times=tuple(_times(first, second)),
        memory=tuple(_memory(first, second)),
        layers=tuple(_layers(first, second)),
        unlike=tuple(_unlike(first, second)),
    )


def _times(first: Measurement, second: Measurement) -> Iterator[Change]:
    for name, before in first.times.items():
        if name in second.times:
            yield _time(f"{name}_ms", summarize(before), summarize(second.times[name]))


def _time(name: str, before: Summary, after: Summary) -> Change:
    intervals = tuple((each.median_low_ms, each.median_high_ms) for each in (before, after))
    apart = intervals[0][1] < intervals[1][0] or intervals[1][1] < intervals[0][0]
    finding = _direction(before.median_ms, after.median_ms) if apart else Finding.SAME
    if min(before.n, after.n) < MIN_SAMPLES and before != after:
        finding = Finding.TOO_FEW
    return Change(
        name,
        before.median_ms,
        after.median_ms,
        finding,
        first_interval=intervals[0],
        second_interval=intervals[1],
        first_n=before.n,
        second_n=after.n,
    )


def _memory(first: Measurement, second: Measurement) -> Iterator[Change]:
    for name in (*_COUNTED, *_SAMPLED):
        before, after = (getattr(each.memory, name, None) for each in (first, second))
        if before is not None and after is not None:
            known = name in _COUNTED or before == after
            yield Change(name, before, after, _direction(before, after) if known else Finding.UNKNOWN)


def _layers(first: Measurement, second: Measurement) -> Iterator[Change]:
    """Yield the layers that both have, in the order of the first."""
    after = {layer.name: _whole(layer) for layer in second.layers}
    for layer in first.layers:
        if layer.name in after:
            same = _whole(layer) == after[layer.name]
            finding = Finding.SAME if same else Finding.UNKNOWN
            yield Change(layer.name, _whole(layer), after[layer.name], finding)


def _whole(layer: LayerTime) -> float:
    return (layer.forward_ms or 0.0) + (layer.backward_ms or 0.0)


def _direction(before: float, after: float) -> Finding:
    if before == after:
        return Finding.SAME
    return Finding.BETTER if after < before else Finding.WORSE


def _unlike(first: Measurement, second: Measurement) -> Iterator[Unlike]:
    """Yield the fields of conditions, setup and environment that are not the same."""
    for one, other in (
        (first.conditions, second.conditions),
        (first.conditions.setup, second.conditions.setup),
        (first.environment, second.environment),
    ):
        for field in fields(one):
            before, after = getattr(one, field.name), getattr(other, field.name)
            if before != after and field.name != "setup":
                yield Unlike(field.name, _say(before), _say(after))
    if first.status is not second.status:
        yield Unlike("status", first.status.value, second.status.value)


def _say(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_say, value)) or "none"
    return "none" if value is None else str(value)
