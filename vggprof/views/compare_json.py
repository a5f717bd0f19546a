"""The keys of a comparison: the contract that other programs build on."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from math import exp

from vggprof.compare import ArchTotals, Comparison, ScaleLine
from vggprof.views.json import Json, setup_json


def result(comparison: Comparison) -> dict[str, Json]:
    """Return what is said of *comparison* besides the envelope.

    For each network and quantity, the values of `attribution` sum to the natural logarithm of the ratio, and
    those of `differences` to the difference of the totals.
    """
    return {
        "gpu": comparison.gpu,
        "archs": [_arch(arch) for arch in comparison.archs],
        "time_sources": list(comparison.time_sources),
        "assumptions": list(comparison.assumptions),
        "ratios": [asdict(ratios) for ratios in comparison.ratios],
        "groups": [_line(line) for line in comparison.lines],
        "alignment": [{"name": each.name, "align": each.alignment.value} for each in comparison.against],
        "attribution": list(_attribution(comparison)),
        "differences": list(_differences(comparison)),
        "findings": [
            {"name": each.name, **asdict(finding)} for each in comparison.against for finding in each.findings
        ],
    }


def _arch(arch: ArchTotals) -> dict[str, Json]:
    known = {field.name: getattr(arch, field.name) for field in fields(arch)}
    return {**known, "setup": setup_json(arch.setup)}


def _line(line: ScaleLine) -> dict[str, Json]:
    return {
        "halvings": line.halvings,
        "archs": [None if cell is None else asdict(cell) for cell in line.cells],
    }


def _attribution(comparison: Comparison) -> Iterator[dict[str, Json]]:
    for each in comparison.against:
        for split in each.splits:
            for part in split.parts:
                yield {
                    "name": each.name,
                    "quantity": split.quantity.value,
                    "cause": part.cause.value,
                    "stage": part.stage,
                    "value": part.value,
                    "factor": exp(part.value),
                }


def _differences(comparison: Comparison) -> Iterator[dict[str, Json]]:
    for each in comparison.against:
        for difference in each.differences:
            yield {"name": each.name, **asdict(difference), "value": difference.value}
