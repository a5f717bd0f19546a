"""A measurement as people read it: what it was made on, its times, its layers, its memory."""

from collections.abc import Iterator

from vggprof.compare.measured import MeasuredReport, PartTime
from vggprof.compare.sweep import Edge, SweepReport
from vggprof.measurement import (
    Conditions,
    Environment,
    Measurement,
    Protocol,
    Status,
    Summary,
    cudnn_release,
    summarize,
)
from vggprof.units import format_bytes, format_count
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.measurement_layers import layer_blocks
from vggprof.views.measurement_memory import memory_blocks
from vggprof.views.phrases import NOT_MODELLED, plural, say_setup

_OUTCOMES = {
    Status.OK: "ran to its end",
    Status.OOM: "ran out of memory",
    Status.TIMEOUT: "did not end in time",
    Status.CRASHED: "crashed",
}
_PARTS = {"step": "whole step", "host_step": "whole step, issued by the host"}
_PASSES = {"step": "forward and backward"}  # of `Protocol.SEED`
_CLOCKS = {"monotonic": "monotonic clock", "cuda events": "CUDA events"}
_TIME_COLUMNS = (
    Column("part", Unit.TEXT),
    Column("median", Unit.NUMBER),
    Column("low", Unit.NUMBER),
    Column("high", Unit.NUMBER),
    Column("25 %", Unit.NUMBER),
    Column("75 %", Unit.NUMBER),
    Column("least", Unit.NUMBER),
    Column("mean", Unit.NUMBER),
    Column("+/-", Unit.NUMBER),
    Column("n", Unit.EXACT),
)
_BESIDE_COLUMNS = (
    Column("part", Unit.TEXT),
    *(Column(name, Unit.NUMBER) for name in ("measured", "predicted", "low", "high", "difference")),
    Column("within", Unit.TEXT),
)
_EDGE_COLUMNS = (
    Column("network", Unit.TEXT),
    Column("memory limit", Unit.BYTES),
    Column("ran", Unit.EXACT),
    Column("out of memory", Unit.EXACT),
    Column("predicted", Unit.EXACT),
    Column("difference", Unit.EXACT),
)
_SWEEP_COLUMNS = (
    Column("network", Unit.TEXT),
    Column("batch", Unit.EXACT),
    Column("outcome", Unit.TEXT),
    Column("step, ms", Unit.NUMBER),
    Column("images/s", Unit.NUMBER),
    Column("allocated", Unit.BYTES),
    Column("reserved", Unit.BYTES),
    Column("process", Unit.BYTES),
)
_READING = (
    "Times are milliseconds; low and high are the ends of a bootstrap interval of the median (95 %), +/- is "
    "the standard deviation. The batch lies on the device before the clock starts: bringing it there is in "
    "no time. Each part has a median of its own, so that they need not add up to that of the step.",
    "Times by layer are of one step, that of median length under the profiler; what is predicted is of its "
    "forward and backward passes together.",
    "MACs and bytes moved are of the trace, forward, as if no cache kept anything; FLOPs are 2 x MACs. What "
    "the peak of a layer is, and what it is bound by, follows from the GPU's boost clock and bandwidth.",
    "Predicted and measured stand side by side; no prediction was moved towards a measurement.",
)


def document(report: MeasuredReport, *, explain: bool = True) -> Document:
    """Return all of *report*; with *explain* it ends with how it is to be read."""
    measurement = report.measurement
    device = measurement.environment.device_name or measurement.conditions.device
    told = measurement.timing is not None or measurement.memory is not None
    notes = (
        Notes("Assumed of the prediction", report.notes),
        Notes("How to read this", (*_READING, NOT_MODELLED) if explain and told else ()),
    )
    return Document(
        f"{measurement.conditions.arch}: measured on {device}",
        (
            Lines(tuple(_head(measurement))),
            *_times(report),
            *_beside(report),
            *layer_blocks(report),
            *memory_blocks(report),
            *(each for each in notes if each.items),
        ),
    )


def overview(sweep: SweepReport) -> Document:
    """Return a row for each measurement, and the largest batches that ran beside those predicted to."""
    rows = tuple(_sweep_row(report.measurement) for report in sweep.reports)
    edges = tuple(map(_edge_row, sweep.edges))
    blocks = (
        Table("", _SWEEP_COLUMNS, rows),
        *((Table("Largest batch", _EDGE_COLUMNS, edges),) if edges else ()),
    )
    return Document(f"{plural(len(sweep.reports), 'measurement')}", blocks)


def _edge_row(edge: Edge) -> tuple[Cell, ...]:
    conditions = edge.conditions
    limit = conditions.memory_limit_bytes
    return conditions.arch, limit, edge.measured, edge.first_failing, edge.predicted, edge.difference


def _sweep_row(measurement: Measurement) -> tuple[Cell, ...]:
    batch, held = measurement.conditions.setup.batch, measurement.memory
    step = None if measurement.timing is None else summarize(measurement.timing.step).median_ms
    sizes: tuple[Cell, ...] = (None, None, None)
    if held is not None:
        sizes = (held.peak_allocated_bytes, held.peak_reserved_bytes, held.process_bytes)
    images = 1000 * batch / step if step else None
    return measurement.conditions.arch, batch, _OUTCOMES[measurement.status], step, images, *sizes


def _head(measurement: Measurement) -> Iterator[str]:
    conditions, timing = measurement.conditions, measurement.timing
    yield say_setup(conditions.setup)
    yield f"{_say_conditions(conditions)}; {_say_environment(measurement.environment)}"
    message = "" if measurement.message is None else f": {measurement.message}"
    if measurement.status is not Status.OK or measurement.message:
        yield f"It {_OUTCOMES[measurement.status]}{message}"
    if timing is not None and timing.capped:
        steps = plural(len(timing.step.values_ms), "step")
        yield f"Time was up after {steps}, which still scatter more than was asked for: quieten the machine."
    elif timing is not None and not timing.converged:
        yield "The times scatter more than was asked for: take more steps, or quieten the machine."


def _say_conditions(conditions: Conditions) -> str:
    """Return what was on: ``eager, TF32 in convolutions, cudnn.benchmark``."""
    limit = conditions.memory_limit_bytes
    parts = [
        conditions.execution.value,
        "TF32 in convolutions" if conditions.tf32 and conditions.device == "cuda" else "",
        "deterministic" if conditions.deterministic else "",
        "cudnn.benchmark" if conditions.benchmark else "",
        "passes timed as by alexnet_benchmark.py (protocol seed)" if _is_of_passes(conditions) else "",
        "" if limit is None else f"memory limited to {format_bytes(limit)}",
    ]
    return ", ".join(filter(None, parts))


def _is_of_passes(conditions: Conditions) -> bool:
    return conditions.protocol is Protocol.SEED


def _say_environment(environment: Environment) -> str:
    """Return the software: ``torch 2.15.0, CUDA 13.2, cuDNN 9.26.0, 8 threads``."""
    parts = [
        f"torch {environment.torch}",
        f"CUDA {environment.cuda}" if environment.cuda else "",
        f"cuDNN {cudnn_release(environment.cudnn)}" if environment.cudnn else "",
        f"driver {environment.driver}" if environment.driver else "",
        plural(environment.threads, "thread") if environment.threads else "",
        *(f"{name}={value}" for name, value in environment.variables),
    ]
    return ", ".join(filter(None, parts))


def _times(report: MeasuredReport) -> Iterator[Block]:
    timing, phases = report.measurement.timing, report.measurement.phases
    if timing is not None:
        times = report.measurement.times.items()
        parts = _PARTS | (_PASSES if _is_of_passes(report.measurement.conditions) else {})
        rows = tuple((parts.get(name, name), *_summary(summarize(each))) for name, each in times)
        yield Table(f"Time, ms, by {_CLOCKS.get(timing.clock, timing.clock)}", _TIME_COLUMNS, rows)
        throttled = len(timing.step.throttled)
        if throttled:
            yield Lines((f"The GPU held itself back in {throttled} of {len(timing.step.values_ms)} steps.",))
    if report.launch_bound:
        yield Lines(("Launch-bound: the host takes as long to issue a step as the GPU to run it.",))
    if phases:
        columns = (*_TIME_COLUMNS[:1], Column("clock", Unit.TEXT), _TIME_COLUMNS[1], *_TIME_COLUMNS[4:7])
        yield Table(
            "Time by phase",
            (*columns, _TIME_COLUMNS[-1]),
            tuple((p.phase, p.clock, p.median_ms, p.p25_ms, p.p75_ms, p.min_ms, p.n) for p in phases),
        )
    if report.works:
        said = (
            f"{work.part} {format_count(work.macs)} MACs, {format_count(int(work.flops_per_s))} FLOPs/s"
            for work in report.works
        )
        yield Lines((f"Work: {'; '.join(said)}",))


def _beside(report: MeasuredReport) -> Iterator[Block]:
    """Yield the times that were measured or predicted, next to each other, where any was predicted."""
    rows = tuple(map(_part_time, report.times))
    if report.latency is not None:
        yield Table("Time, measured beside predicted, ms", _BESIDE_COLUMNS, rows)


def _part_time(part: PartTime) -> tuple[Cell, ...]:
    predicted = part.predicted
    ends = (None,) * 3 if predicted is None else (predicted.likely, predicted.low, predicted.high)
    within = None if part.within is None else "yes" if part.within else "no"
    return _PARTS.get(part.name, part.name), part.measured_ms, *ends, part.difference_ms, within


def _summary(summary: Summary) -> tuple[Cell, ...]:
    return (
        summary.median_ms,
        summary.median_low_ms,
        summary.median_high_ms,
        summary.p25_ms,
        summary.p75_ms,
        summary.min_ms,
        summary.mean_ms,
        summary.std_ms,
        summary.n,
    )
