"""The keys of the stacks of a network: the contract that other programs build on."""

from dataclasses import asdict

from vggprof.views.json import Json
from vggprof.workloads.stack import Comparison, StackReport


def result(report: StackReport) -> dict[str, Json]:
    """Return what is said of *report* besides the envelope; times are null where ``no_times`` says why."""
    return {
        "device": report.device,
        "no_times": report.no_times,
        "stacks": [
            {**asdict(row), "pays": row.pays, "weights_per_square": row.weights_per_square}
            for row in report.rows
        ],
        "network": asdict(report.stacked),
        "single": None if report.single is None else asdict(report.single),
        "published_difference": None if report.difference is None else asdict(report.difference),
        "family": [asdict(network) for network in report.family],
        "comparisons": [_comparison(each) for each in report.comparisons],
        "assumptions": list(report.assumptions),
    }


def _comparison(each: Comparison) -> Json:
    return {
        "change": each.change,
        "network": each.network.arch,
        "against": each.base.arch,
        "step_ratio": each.step_ratio,
        "top1_points": each.points[0],
        "top5_points": each.points[1],
    }
