"""Throughput over batch sizes: where it stops growing, and where memory ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vggprof.devices import Device
from vggprof.latency.predict import Latency, Stopwatch

BATCHES: Final = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)
# The knee is where a larger batch gains no more than the rest of this share of the best throughput.
_ENOUGH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Curve:
    """Steps at several batches, the smallest first; there is at least one."""

    points: tuple[Latency, ...]
    largest_batch: int | None  # that fits the card's memory; None where nobody asked

    @property
    def fitting(self) -> tuple[Latency, ...]:
        """The points that fit the memory."""
        most = self.largest_batch
        return tuple(point for point in self.points if most is None or point.batch <= most)

    @property
    def knee(self) -> Latency | None:
        """The smallest batch with 90 % of the best throughput among those that fit; None where none does."""
        best = max((point.images_per_s for point in self.fitting), default=0.0)
        return next((point for point in self.fitting if point.images_per_s >= _ENOUGH * best), None)


def curve(
    watch: Stopwatch, device: Device, *, largest_batch: int | None, batches: Sequence[int] = BATCHES
) -> Curve:
    """Return the steps at *batches* on *device*, also at those that its memory cannot hold."""
    return Curve(tuple(watch.predict(batch, device) for batch in sorted(set(batches))), largest_batch)
