"""A measurement as CSV rows, a figure each."""

from collections.abc import Iterator
from dataclasses import asdict, fields

from vggprof.compare.measured import MeasuredReport
from vggprof.measurement import summarize
from vggprof.views.document import Cell

# *of* is a part of the step, a layer, or a mark with its step; *predicted* is empty where nothing is.
HEADER = ("arch", "batch", "status", "kind", "of", "quantity", "measured", "predicted")

_LAYER = ("forward_ms", "backward_ms", "dgrad_ms", "wgrad_ms", "optimizer_ms")


def rows(report: MeasuredReport) -> Iterator[tuple[Cell, ...]]:
    """Yield the figures of *report*: times, layers, memory, marks; what is not known is left out."""
    measurement = report.measurement
    conditions = measurement.conditions
    head = (conditions.arch, conditions.setup.batch, measurement.status.value)
    found = [*_times(report), *_layers(report), *_memory(report), *_marks(report)]
    yield from ((*head, *row) for row in found or [(None,) * 5])


def _times(report: MeasuredReport) -> Iterator[tuple[Cell, ...]]:
    predicted = {each.name: each.predicted.likely for each in report.times if each.predicted is not None}
    for name, samples in report.measurement.times.items():
        for quantity, value in asdict(summarize(samples)).items():
            beside = predicted.get(name) if quantity == "median_ms" else None
            yield "timing", name, quantity, value, beside
    for phase in report.measurement.phases:
        for quantity in ("median_ms", "p25_ms", "p75_ms", "min_ms", "n"):
            yield phase.clock, phase.phase, quantity, getattr(phase, quantity), None


def _layers(report: MeasuredReport) -> Iterator[tuple[Cell, ...]]:
    for work in report.layer_works:
        predicted = report.layer_latencies.get(work.time.name)
        for quantity in _LAYER:
            value, beside = getattr(work.time, quantity), getattr(predicted, quantity, None)
            if value is not None or beside is not None:
                yield "layer", work.time.name, quantity, value, beside
        if work.row is not None:
            yield "layer", work.time.name, "macs", None, work.row.macs


def _memory(report: MeasuredReport) -> Iterator[tuple[Cell, ...]]:
    for each in report.quantities:
        likely = None if each.predicted is None else each.predicted.likely
        if each.measured is not None or likely is not None:
            yield "memory", None, each.name, each.measured, likely


def _marks(report: MeasuredReport) -> Iterator[tuple[Cell, ...]]:
    memory = report.measurement.memory
    for mark in () if memory is None else memory.marks:
        at = mark.phase if mark.step is None else f"{mark.phase} {mark.step}"
        for field in fields(mark)[2:]:
            yield "mark", at, field.name, getattr(mark, field.name), None
