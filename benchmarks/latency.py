"""Fits vggprof/latency/coefficients.json, cross-validates it, and writes the tables of docs/latency.md.

    python benchmarks/latency.py           # the tables
    python benchmarks/latency.py --write   # the coefficients too

Needs torchvision for the traces, and minutes. How rows are held out is in ``latency_validation``.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from latency_fit import GENERATIONS, Bools, Floats
from latency_layers import layers_table
from latency_parameters import as_coefficients
from latency_rows import DATA, Row, rows
from latency_validation import Data, Validation, factor, fit_to_all, load, validate, widening

from vggprof.latency.coefficients import FILE, Coefficients
from vggprof.latency.interval import LARGE_BATCH
from vggprof.latency.work import Math, Traffic

PAGE = Path(__file__).parents[1] / "docs" / "latency.md"
ABOUT = (
    "Made by benchmarks/latency.py from tests/data/latency; see docs/latency.md. Shares are of a peak: of "
    "the units' multiply-adds at the clock that the card holds, or of the memory's bandwidth."
)
_FAMILIES = ("vgg", "resnet", "alexnet")


def off(data: Data, predicted: Floats) -> Floats:
    """Return by how much *predicted* is off, as a share of what was measured."""
    return predicted / data.measured - 1


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %"


def table(header: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    head = list(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def summary(data: Data, found: Validation) -> str:
    """Return the mean absolute errors by family and batch, for each way of leaving out."""
    family = np.array([row.family for row in data.rows])
    batch = np.array([row.batch for row in data.rows])
    kinds: Mapping[str, Bools] = {
        "VGG and ResNet, batch 12 and more": (family != "alexnet") & data.large,
        "AlexNet, batch 12 and more": (family == "alexnet") & data.large,
        "all, batch 2 to 11": (batch > 1) & ~data.large,
        "all, batch 1": batch == 1,
    }
    ways = {"a card": found.card, "a network": found.net, "a generation": found.generation}
    lines = []
    for name, rows_of in kinds.items():
        errors = [percent(float(np.abs(off(data, ms)[rows_of]).mean())) for ms in ways.values()]
        lines.append([name, str(rows_of.sum()), *errors, percent(float(found.covered[rows_of].mean()))])
    lines.append(["", str(len(data.rows)), *[""] * len(ways), percent(float(found.covered.mean()))])
    return table(("rows", "number", *(f"without {name}" for name in ways), "within the interval"), lines)


def ratios(data: Data, predicted: Floats) -> str:
    """Return how far off ratios of two rows of one series are, from *predicted* milliseconds."""
    kinds: Mapping[str, Callable[[Row], Row | None]] = {
        "VGG-16 over AlexNet": lambda row: replace(row, arch="vgg16") if row.family == "alexnet" else None,
        "training over inference": lambda row: replace(row, mode="train") if row.mode == "infer" else None,
        "backward over forward": lambda row: replace(row, mode="backward") if row.mode == "forward" else None,
        "half precision over single": lambda row: replace(row, dtype="fp16") if row.dtype != "fp16" else None,
    }
    places = {_series(row): at for at, row in enumerate(data.rows)}
    lines = []
    for name, partner in kinds.items():
        pairs = [
            (at, places[_series(other)])
            for at, row in enumerate(data.rows)
            if (other := partner(row)) is not None and _series(other) in places
        ]
        below, above = (np.array(side) for side in zip(*pairs, strict=True))
        error = (predicted[above] / predicted[below]) / (data.measured[above] / data.measured[below]) - 1
        lines.append(
            [name, str(len(pairs)), percent(float(np.abs(error).mean())), percent(float(np.median(error)))]
        )
    return table(("ratio", "pairs", "mean error", "median, signed"), lines)


def _series(row: Row) -> Row:
    """Return what two rows of one series have in common: all but the time, whatever AlexNet it is."""
    arch = "alexnet" if row.family == "alexnet" else row.arch
    inputs = 224 if row.input in (224, 227) else row.input
    return replace(row, ms=0.0, arch=arch, input=inputs, copied=row.copied)


def cells(data: Data, found: Validation) -> str:
    """Return a line for each GPU, family, dtype, layout and mode: the card was left out."""
    error = off(data, found.card)
    lines = []
    for cell in sorted({row.cell for row in data.rows if row.batch >= LARGE_BATCH}):
        mine = np.array([row.cell == cell and row.batch >= LARGE_BATCH for row in data.rows])
        mean, ends = np.abs(error[mine]).mean(), (error[mine].min(), error[mine].max())
        lines.append([*cell, str(mine.sum()), percent(mean), *(f"{100 * end:+.0f} %" for end in ends)])
    return table(
        ("GPU", "family", "dtype", "layout", "mode", "rows", "mean error", "lowest", "highest"), lines
    )


def generations(data: Data, found: Validation) -> str:
    """Return a line a generation: it was left out, and the widening was made of the others."""
    error, of = np.log(found.generation / data.measured), np.array(data.groups("generation"))
    plain = factor(data, found.card, data.large)
    lines = []
    for name in GENERATIONS:
        mine = (of == name) & data.large
        wide = plain * widening(data, found.card, found.generation, of != name)
        within = [percent(float((np.abs(error[mine]) <= np.log(width)).mean())) for width in (plain, wide)]
        mean = percent(float(np.abs(np.exp(error[mine]) - 1).mean()))
        lines.append(
            [name, str(mine.sum()), mean, f"{100 * (np.exp(np.median(error[mine])) - 1):+.0f} %", *within]
        )
    header = (
        "generation",
        "rows",
        "mean error",
        "median",
        "within a card's interval",
        "within the widened one",
    )
    return table(header, lines)


def small(data: Data, found: Validation) -> str:
    """Return a line for each GPU and family below a large batch."""
    error = off(data, found.card)
    lines = []
    for gpu, family in sorted({(row.gpu, row.family) for row in data.rows if row.batch < LARGE_BATCH}):
        for one in (True, False):
            mine = np.array(
                [
                    (row.gpu, row.family) == (gpu, family)
                    and row.batch < LARGE_BATCH
                    and (row.batch == 1) == one
                    for row in data.rows
                ]
            )
            if mine.any():
                mean, ends = np.abs(error[mine]).mean(), (error[mine].min(), error[mine].max())
                said = [gpu, family, "1" if one else "2 to 11", str(mine.sum()), percent(mean)]
                lines.append([*said, *(f"{100 * end:+.0f} %" for end in ends)])
    return table(("GPU", "family", "batch", "rows", "mean error", "lowest", "highest"), lines)


def excluded() -> str:
    """Return the rows that are not used, with the reason."""
    lines = [
        [row.gpu, row.arch, row.mode, row.dtype, row.layout, str(row.batch), row.version or "-", row.excluded]
        for row in rows()
        if row.excluded
    ]
    return table(
        ("GPU", "network", "mode", "dtype", "layout", "batch", "version", "why it is left out"), lines
    )


def written(coefficients: Coefficients) -> str:
    """Return coefficients.json."""

    def rounded(values: Mapping[Math, float] | Mapping[Traffic, float]) -> dict[str, float]:
        return {str(name): round(value, 4) for name, value in values.items()}

    said = {
        "about": coefficients.about,
        "sources": list(coefficients.sources),
        "generations": {
            name: {
                "measured": each.measured,
                "math": rounded(each.math),
                "traffic": rounded(each.traffic),
                "launch_us": round(each.launch_us, 2),
                "desktop_clock_khz": each.desktop_clock_khz,
                "desktop_over_boost": round(each.desktop_over_boost, 3),
            }
            for name, each in coefficients.generations.items()
        },
        "passes": {str(part): rounded(factors) for part, factors in coefficients.passes.items()},
        "host_us": round(coefficients.host_us, 2),
        "spread": {
            name: round(getattr(coefficients.spread, name), 3) for name in ("large", "small", "unmeasured")
        },
    }
    return json.dumps(said, indent=2) + "\n"


def sources(data: Data) -> tuple[str, ...]:
    """Return what the coefficients come from."""
    found: dict[str, list[str]] = {}
    for row in data.rows:
        found.setdefault(row.framework, []).append(row.gpu)
    nets = tuple(f"{name}: {len(gpus)} rows on {len(set(gpus))} GPUs" for name, gpus in sorted(found.items()))
    single = len(data.model.gpu) - len(data.rows)
    return (*nets, f"DeepBench and NeuSight: {single} passes of single convolutions")


def page(text: str, parts: Mapping[str, str]) -> str:
    """Return *text* with what stands between ``<!-- name -->`` and ``<!-- end -->`` replaced."""
    for name, said in parts.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if not mark:
            raise ValueError(f"{PAGE} has no place for {name}")
        text = f"{before}{mark}{said}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return text


def main(*, write: bool) -> None:
    """Fit, validate, and write the page."""
    data = load()
    found = validate(data)
    x = fit_to_all(data)
    over_boost = data.model.over_boost(x, np.ones(len(data.model.gpu), bool))
    fitted = as_coefficients(x, data.model.slots, over_boost, found.spread)
    fitted = replace(fitted, about=ABOUT, sources=sources(data))
    if write:
        FILE.write_text(written(fitted), encoding="utf-8")
    parts = {
        "summary": summary(data, found),
        "ratios": ratios(data, found.card),
        "generations": generations(data, found),
        "cells": cells(data, found),
        "small": small(data, found),
        "layers": layers_table(DATA),
        "excluded": excluded(),
    }
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
    print(parts["summary"])


if __name__ == "__main__":
    main(write="--write" in sys.argv[1:])
