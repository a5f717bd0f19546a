"""Several measurements: where each network's largest batch lies, measured and predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from vggprof.compare.measured import MeasuredReport
from vggprof.measurement import Conditions, Measurement, Status


@dataclass(frozen=True, slots=True)
class Edge:
    """The largest batch of one network under the same conditions; None is what was not reached."""

    conditions: Conditions  # at the first batch that was tried
    measured: int | None  # the largest that ran
    first_failing: int | None  # the smallest beyond it that ran out of memory
    predicted: int | None  # the largest that is predicted to fit

    @property
    def difference(self) -> int | None:
        """Measured less predicted, where the measurement found the edge; else None."""
        if self.predicted is None or self.first_failing is None:
            return None
        return (self.measured or 0) - self.predicted


@dataclass(frozen=True, slots=True)
class SweepReport:
    """Measurements in their order; there is at least one."""

    reports: tuple[MeasuredReport, ...]

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The largest batch of each network that was tried at more than one."""
        groups = groupby(self.reports, lambda report: same_but_batch(report.measurement))
        several = (tuple(reports) for _, reports in groups)
        return tuple(_edge(reports) for reports in several if len(reports) > 1)


def same_but_batch(measurement: Measurement) -> Conditions:
    """Return the conditions of *measurement* without its batch: those of one sweep are equal."""
    conditions = measurement.conditions
    return replace(conditions, setup=replace(conditions.setup, batch=1))


def _edge(reports: Sequence[MeasuredReport]) -> Edge:
    largest = max(_batches(reports, Status.OK), default=None)
    failing = [batch for batch in _batches(reports, Status.OOM) if batch > (largest or 0)]
    predicted = (report.largest_batch for report in reports)
    return Edge(
        reports[0].measurement.conditions,
        measured=largest,
        first_failing=min(failing, default=None),
        predicted=next((batch for batch in predicted if batch is not None), None),
    )


def _batches(reports: Sequence[MeasuredReport], status: Status) -> Iterator[int]:
    for report in reports:
        if report.measurement.status is status:
            yield report.measurement.conditions.setup.batch
