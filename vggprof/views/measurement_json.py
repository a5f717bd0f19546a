"""The keys of a measurement: the contract that other programs build on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from vggprof.compare.measured import MeasuredReport
from vggprof.compare.parting import Parting
from vggprof.compare.sweep import Edge, SweepReport
from vggprof.compare.work import LayerWork
from vggprof.latency.predict import LayerLatency
from vggprof.measurement import TIMES, AllocatorEvent, Measurement, Samples, summarize
from vggprof.views.json import Json, setup_json


def result(report: MeasuredReport) -> dict[str, Json]:
    """Return what is said of *report* besides the envelope."""
    measurement = report.measurement
    return {
        "status": measurement.status.value,
        "message": measurement.message,
        "began": measurement.began,
        "conditions": _conditions(measurement),
        "environment": _environment(measurement),
        "timing": _timing(measurement),
        "launch_bound": report.launch_bound,
        "layers": [
            {**_layer(work), "predicted": _layer_predicted(report.layer_latencies.get(work.time.name))}
            for work in report.layer_works
        ],
        "not_attributed": {f"{each.part}_ms": each.time_ms for each in report.rests},
        "profiled": {f"{each.part}_ms": each.whole_ms for each in report.rests},
        "memory": _memory(measurement),
        "predicted": _predicted(report),
        "difference": _difference(report),
        "notes": list(report.notes),
    }


def sweep_result(sweep: SweepReport) -> dict[str, Json]:
    """Return what is said of *sweep*: the largest batches, then each measurement with its setup."""
    return {
        "largest_batches": [_edge(edge) for edge in sweep.edges],
        "measurements": [
            {
                "arch": each.measurement.conditions.arch,
                "setup": setup_json(each.measurement.conditions.setup),
                **result(each),
            }
            for each in sweep.reports
        ],
    }


def _edge(edge: Edge) -> Json:
    return {
        "arch": edge.conditions.arch,
        "memory_limit_bytes": edge.conditions.memory_limit_bytes,
        "measured": edge.measured,
        "first_failing": edge.first_failing,
        "predicted": edge.predicted,
        "difference": edge.difference,
    }


def _conditions(measurement: Measurement) -> Json:
    conditions = measurement.conditions
    return {
        "device": conditions.device,
        "execution": conditions.execution.value,
        "tf32": conditions.tf32,
        "deterministic": conditions.deterministic,
        "benchmark": conditions.benchmark,
        "memory_limit_bytes": conditions.memory_limit_bytes,
        "protocol": conditions.protocol.value,
    }


def _environment(measurement: Measurement) -> Json:
    said = asdict(measurement.environment)
    return {**said, "variables": dict(measurement.environment.variables)}


def _timing(measurement: Measurement) -> Json:
    """Return each time's statistics; what was not timed is null."""
    timing = measurement.timing
    times: dict[str, Json] = {f"{name}_ms": _samples(measurement.times.get(name)) for name in TIMES}
    return {
        "clock": None if timing is None else timing.clock,
        "converged": None if timing is None else timing.converged,
        "capped": None if timing is None else timing.capped,
        **times,
        "phases": [asdict(phase) for phase in measurement.phases],
    }


def _samples(samples: Samples | None) -> Json:
    if samples is None:
        return None
    summary = summarize(samples)
    return {
        "median": summary.median_ms,
        "p25": summary.p25_ms,
        "p75": summary.p75_ms,
        "min": summary.min_ms,
        "mean": summary.mean_ms,
        "std": summary.std_ms,
        "n": summary.n,
        "spread": summary.spread,
        "median_low": summary.median_low_ms,
        "median_high": summary.median_high_ms,
        "throttled": summary.throttled,
    }


def _layer(work: LayerWork) -> dict[str, Json]:
    bound = work.bound
    return {
        **{name: value for name, value in asdict(work.time).items() if name != "kernels"},
        "macs": None if work.row is None else work.row.macs,
        "macs_backward": None if work.row is None else work.row.macs_backward,
        "flops_per_s": work.flops_per_s,
        "moved_bytes_per_s": work.moved_bytes_per_s,
        "share_of_peak": work.share_of_peak,
        "bound": None if bound is None else bound.value,
        "kernels": [asdict(kernel) for kernel in work.time.kernels],
    }


def _layer_predicted(layer: LayerLatency | None) -> Json:
    if layer is None:
        return None
    return {"forward_ms": layer.forward_ms, "dgrad_ms": layer.dgrad_ms, "wgrad_ms": layer.wgrad_ms}


def _memory(measurement: Measurement) -> Json:
    held = measurement.memory
    names = (
        "peak_allocated_bytes",
        "peak_reserved_bytes",
        "process_bytes",
        "gpu_bytes",
        "context_bytes",
        "retries",
    )
    known: Mapping[str, Json] = {name: getattr(held, name, None) for name in names}
    marks: Sequence[Json] = [] if held is None else [asdict(mark) for mark in held.marks]
    return {**known, "marks": marks}


def _predicted(report: MeasuredReport) -> Json:
    """Return the predictions; null where nothing is predicted, their ends beside them where they are two."""
    if report.layers is None:
        return None
    card = None if report.memory is None else report.memory.single
    totals = report.layers.totals
    sizes: dict[str, Json] = {}
    for each in report.quantities:
        if each.predicted is not None:
            sizes[each.name] = each.predicted.likely
            if not each.predicted.exact:
                sizes |= {
                    f"{each.name}_low": each.predicted.low,
                    f"{each.name}_high": each.predicted.high,
                }
    return {
        "verdict": None if card is None else card.prediction.status.value,
        **sizes,
        **dict(_predicted_times(report)),
        "largest_batch": report.largest_batch,
        "macs": totals.macs,
        "macs_backward": totals.macs_backward,
    }


def _predicted_times(report: MeasuredReport) -> Iterator[tuple[str, Json]]:
    """Yield each time that a step has with the ends of its interval; null alone where it is not predicted."""
    for each in report.times:
        predicted, name = each.predicted, f"{each.name}_ms"
        yield name, None if predicted is None else predicted.likely
        if predicted is not None:
            yield from ((f"{name}_low", predicted.low), (f"{name}_high", predicted.high))


def _difference(report: MeasuredReport) -> Json:
    """Return measured less predicted, what the work came to a second, and where allocators part."""
    if report.layers is None:
        return None
    return {
        **{each.name: each.difference for each in report.quantities},
        **{f"{each.name}_ms": each.difference_ms for each in report.times},
        "within": {
            **{each.name: each.within for each in report.quantities},
            **{f"{each.name}_ms": each.within for each in report.times},
        },
        "flops_per_s": {work.part: work.flops_per_s for work in report.works},
        "events_compared": report.events_compared,
        "first_event": None if report.parting is None else _parting(report.parting),
    }


def _parting(parting: Parting) -> Json:
    place, mark = parting.place, parting.mark
    return {
        "number": parting.number,
        "differs": parting.difference.value,
        "predicted": _event(parting.predicted),
        "measured": _event(parting.measured),
        "step": None if place is None else place.step,
        "phase": None if place is None else place.phase.value,
        "layer": None if place is None else place.layer,
        "op": None if place is None else place.op,
        "after_mark": None if mark is None else mark.phase,
        "after_mark_step": None if mark is None else mark.step,
    }


def _event(event: AllocatorEvent | None) -> Json:
    return None if event is None else asdict(event)
