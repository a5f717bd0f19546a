"""The keys of the latency prediction: the contract that other programs build on."""

from vggprof.latency.curve import Curve
from vggprof.latency.interval import Interval
from vggprof.latency.predict import Latency, LayerLatency
from vggprof.latency.refinement import Refinement
from vggprof.latency.report import Change, Epoch, LatencyReport
from vggprof.views.json import Json


def result(report: LatencyReport) -> dict[str, Json]:
    """Return what is said of *report* besides the envelope.

    With one card its keys stand at the top as well.
    """
    devices: list[Json] = [_device(card) for card in report.cards]
    only = report.single
    common: dict[str, Json] = {
        "execution": report.execution.value,
        "devices": devices,
        "changes": [_change(change) for change in report.changes],
        "epoch": None if report.epoch is None else _epoch(report.epoch),
        "curve": None if report.curve is None else _curve(report.curve),
        "assumptions": list(report.assumptions),
    }
    return common if only is None else {**_device(only), **common}


def _device(card: Latency) -> dict[str, Json]:
    return {
        "device": card.device.name,
        "prediction": {
            "forward_ms": _interval(card.forward),
            "backward_ms": _interval(card.backward),
            "optimizer_ms": _interval(card.optimizer),
            "step_ms": _interval(card.step),
        },
        "images_per_s": card.images_per_s,
        "host_bound": card.host_bound,
        "bounds_ms": {bound.value: ms for bound, ms in card.bounds_ms.items()},
        "refined": None if card.refined is None else _refined(card.refined),
        "layers": [_layer(layer) for layer in card.layers],
    }


def _refined(refinement: Refinement) -> Json:
    return {
        "sources": list(refinement.sources),
        "factors": {factor.value: value for factor, value in refinement.factors.items()},
    }


def _interval(each: Interval | None) -> Json:
    return None if each is None else {"likely": each.likely, "low": each.low, "high": each.high}


def _layer(layer: LayerLatency) -> Json:
    return {
        "name": layer.name,
        "op": layer.op,
        "forward_ms": layer.forward_ms,
        "dgrad_ms": layer.dgrad_ms,
        "wgrad_ms": layer.wgrad_ms,
        "bound": layer.bound and layer.bound.value,
        "share_of_peak": layer.share_of_peak,
        "algorithms": list(layer.algorithms),
    }


def _change(change: Change) -> Json:
    return {"what": change.what, "step_ms": _interval(change.latency.step), "gain": change.gain}


def _epoch(epoch: Epoch) -> Json:
    return {"images": epoch.images, "steps": epoch.steps, "hours": _interval(epoch.hours)}


def _curve(curve: Curve) -> Json:
    return {
        "largest_batch": curve.largest_batch,
        "knee_batch": None if curve.knee is None else curve.knee.batch,
        "points": [
            {"batch": point.batch, "step_ms": _interval(point.step), "images_per_s": point.images_per_s}
            for point in curve.points
        ],
    }
