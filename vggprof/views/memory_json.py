"""The keys of the memory prediction: the contract that other programs build on."""

from vggprof.analyzers import TensorMemory
from vggprof.memory.place import Place
from vggprof.memory.report import CardReport, MemoryReport
from vggprof.memory.run import Failure
from vggprof.memory.verdict import Estimate, Prediction
from vggprof.views.advice_json import advice_json
from vggprof.views.json import Json


def result(report: MemoryReport) -> dict[str, Json]:
    """Return what is said of *report* besides the envelope.

    With one card its `prediction` and `verdict` stand at the top as well, and `marks`, `peak` and
    `breakdown_bytes` are what its allocator holds; with several they are of tensors alone, as `tensors` is.
    """
    only, composition = report.single, report.composition
    tensors = _tensors(report.tensors)
    devices: list[Json] = [_device(card) for card in report.cards]
    common: dict[str, Json] = {
        "devices": devices,
        "tensors": tensors,
        "software": _software(report),
        "assumptions": list(report.assumptions),
    }
    if only is None or composition is None:
        return {**tensors, "workspaces": None, **advice_json(None), **common}
    shown = only.prediction.shown
    return {
        "prediction": _prediction(only.prediction),
        "verdict": _verdict(only),
        **advice_json(report.advice),
        "marks": [
            {
                "step": mark.step,
                "phase": mark.phase,
                "allocated_bytes": mark.allocated_bytes,
                "reserved_bytes": mark.reserved_bytes,
            }
            for mark in shown.marks
        ],
        "peak": {"allocated_bytes": shown.peak_allocated_bytes, **_place(shown.peak)},
        "breakdown_bytes": dict(composition.breakdown_bytes),
        "fragmentation_bytes": composition.fragmentation_bytes,
        "layers": [
            {"layer": layer, "allocated_bytes": nbytes} for layer, nbytes in composition.layer_bytes.items()
        ],
        "workspaces": [
            {
                "layer": row.layer,
                "pass": row.which,
                "bytes": row.nbytes,
                "bytes_low": row.low_bytes,
                "bytes_high": row.high_bytes,
                "source": row.source,
            }
            for row in composition.workspaces
        ],
        **common,
    }


def _device(card: CardReport) -> dict[str, Json]:
    prediction = card.prediction
    return {
        "name": prediction.device.name,
        "prediction": _prediction(prediction),
        "verdict": _verdict(card),
    }


def _prediction(prediction: Prediction) -> dict[str, Json]:
    context = prediction.context
    return {
        **_range("peak_allocated_bytes", prediction.peak_allocated),
        **_range("peak_reserved_bytes", prediction.peak_reserved),
        **_range("context_bytes", Estimate(context.low, context.likely, context.high)),
        **_range("process_bytes", prediction.process),
        "retries": prediction.shown.retries,
    }


def _range(name: str, size: Estimate) -> dict[str, Json]:
    """Return a size; its ends stand beside it where they are two."""
    if size.exact:
        return {name: size.likely}
    return {name: size.likely, f"{name}_low": size.low, f"{name}_high": size.high}


def _verdict(card: CardReport) -> dict[str, Json]:
    prediction = card.prediction
    failure, usable = prediction.failure, prediction.usable
    return {
        "status": prediction.status.value,
        "device": prediction.device.name,
        **_range("usable_bytes", Estimate(usable.low, usable.likely, usable.high)),
        "spare_bytes": card.spare_bytes,
        "largest_batch": card.largest_batch,
        "largest_batch_fits": card.largest_batch_fits,
        "oom": None if failure is None else _oom(failure, prediction.oom_message),
    }


def _oom(failure: Failure, message: str | None) -> dict[str, Json]:
    return {
        **_place(failure.place),
        "requested_bytes": failure.oom.requested_bytes,
        "message": message,
    }


def _place(place: Place) -> dict[str, Json]:
    return {"step": place.step, "phase": place.phase.value, "layer": place.layer, "op": place.op}


def _software(report: MemoryReport) -> dict[str, Json]:
    software = report.software
    library, settings = software.cudnn.library, software.settings
    return {
        "torch": ".".join(map(str, software.torch)),
        "cuda": ".".join(map(str, software.cuda)),
        "cudnn": None if library is None else library.version,
        "cudnn_wanted": software.cudnn.wanted,
        "allow_tf32": settings.allow_tf32,
        "deterministic": settings.deterministic,
        "benchmark": settings.benchmark,
    }


def _tensors(memory: TensorMemory) -> dict[str, Json]:
    peak = memory.peak
    return {
        "marks": [
            {"step": mark.step, "phase": mark.phase, "allocated_bytes": mark.allocated_bytes}
            for mark in memory.marks
        ],
        "peak": {
            "allocated_bytes": peak.allocated_bytes,
            **_place(Place(peak.step, peak.phase, peak.layer, peak.op)),
        },
        "breakdown_bytes": {kind.value: nbytes for kind, nbytes in memory.breakdown_bytes.items()},
        "shares": [
            {"layer": share.layer, "kind": share.kind.value, "allocated_bytes": share.allocated_bytes}
            for share in memory.shares
        ],
    }
