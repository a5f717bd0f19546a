"""Fits vggprof/latency/coefficients.json, cross-validates it, and writes the tables of docs/latency.md.

    python benchmarks/latency.py           # the tables
    python benchmarks/latency.py --write   # the coefficients too

Needs torchvision for the traces. Nothing that is held out goes into the fit that predicts it: a card (or a
network, or a generation) is left out whole, single convolutions measured on it included. The intervals are
made from the errors on cards that were left out, and checked on a card that was left out of that too.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from latency_fit import Bools, Floats, Table
from latency_layers import layers_table
from latency_model import Model
from latency_rows import DATA, Row, kernels, rows

from vggprof.latency.coefficients import FILE, Coefficients, Spread
from vggprof.latency.interval import LARGE_BATCH
from vggprof.latency.work import Math, Traffic

PAGE = Path(__file__).parents[1] / "docs" / "latency.md"
COVERED = 0.8
ABOUT = (
    "Made by benchmarks/latency.py from tests/data/latency; see docs/latency.md. Shares are of a peak: of "
    "the units' multiply-adds at the clock that the card holds, or of the memory's bandwidth."
)
_FAMILIES = ("vgg", "resnet", "alexnet")


@dataclass(frozen=True)
class Data:
    """The rows that are used, and the model over them."""

    rows: tuple[Row, ...]
    model: Model

    @cached_property
    def measured(self) -> Floats:
        """Milliseconds of the whole networks."""
        return np.array([row.ms for row in self.rows])

    @cached_property
    def large(self) -> Bools:
        """Which rows have a large batch."""
        return np.array([row.batch >= LARGE_BATCH for row in self.rows])

    def without(self, left_out: Callable[[str, str], bool]) -> Floats:
        """Return the milliseconds of all networks, of a fit without the rows of which *left_out* is true.

        It is asked for the GPU and the architecture of the row's network ("" for single convolutions).
        """
        archs = [row.arch for row in self.rows] + [""] * (len(self.model.gpu) - len(self.rows))
        used = np.array([not left_out(g, a) for g, a in zip(self.model.gpu, archs, strict=True)])
        return 1000 * self.model.predict(self.model.fit(used))[: len(self.rows)]


def load() -> Data:
    """Return the data: traces are made where they are not cached, which takes minutes."""
    used = tuple(row for row in rows() if not row.excluded)
    table = Table()
    for row in used:
        table.net(row)
    for kernel in kernels():
        table.kernel(kernel)
    return Data(used, Model(table))


_DATA: Data


def _leave_out(what: tuple[str, tuple[str, ...]]) -> Floats:
    by, names = what
    return _DATA.without(lambda gpu, arch: (gpu if by == "gpu" else arch) in names)


def predictions(data: Data, by: str, groups: Sequence[tuple[str, ...]]) -> list[Floats]:
    """Return the predictions of a fit without each of *groups*, of GPUs or of architectures."""
    global _DATA  # noqa: PLW0603 - the processes that fit inherit it
    _DATA = data
    with Pool() as pool:
        return pool.map(_leave_out, [(by, group) for group in groups])


def held_out(data: Data, by: str, groups: Sequence[tuple[str, ...]]) -> Floats:
    """Return for every row the prediction of the fit that had not seen its group."""
    found = np.full(len(data.rows), np.nan)
    for group, predicted in zip(groups, predictions(data, by, groups), strict=True):
        mine = np.array([(row.gpu if by == "gpu" else row.arch) in group for row in data.rows])
        found[mine] = predicted[mine]
    return found


def factor(data: Data, predicted: Floats, used: Bools) -> float:
    """Return the factor within which, up or down, COVERED of the rows *used* lie."""
    return float(np.exp(np.quantile(np.abs(np.log(predicted / data.measured))[used], COVERED)))


@dataclass(frozen=True)
class Validation:
    """Predictions of rows by fits that had not seen them, and what the intervals are made of."""

    card: Floats
    net: Floats
    generation: Floats
    covered: Bools  # by an interval made without the card's rows
    spread: Spread


def validate(data: Data) -> Validation:
    """Leave out each card, each network and each generation; and each pair of cards, for the intervals."""
    cards = sorted({row.gpu for row in data.rows})
    kin = kindred(data)
    card = held_out(data, "gpu", [(name,) for name in cards])
    net = held_out(data, "arch", [(name,) for name in sorted({row.arch for row in data.rows})])
    generation = held_out(data, "gpu", kin)
    spread = Spread(
        large=factor(data, card, data.large),
        small=factor(data, card, ~data.large),
        unmeasured=max(1.0, factor(data, generation, data.large) / factor(data, card, data.large)),
    )
    return Validation(card, net, generation, nested(data, cards, card), spread)


def kindred(data: Data) -> list[tuple[str, ...]]:
    """Return the GPUs of each generation, those of single convolutions too."""
    found: dict[str, tuple[str, ...]] = {}
    for gpu in np.unique(data.model.gpu):
        name = _architecture(gpu)
        found[name] = (*found.get(name, ()), str(gpu))
    return list(found.values())


def _architecture(gpu: str) -> str:
    from vggprof.devices import find_device  # noqa: PLC0415

    return find_device(gpu).architecture


def nested(data: Data, cards: Sequence[str], card: Floats) -> Bools:
    """Return which rows lie in an interval made of other cards' errors, by fits without their card too."""
    pairs = list(combinations(cards, 2))
    found = dict(zip(pairs, predictions(data, "gpu", pairs), strict=True))
    gpus = np.array([row.gpu for row in data.rows])
    covered = np.zeros(len(gpus), bool)
    for outer in cards:
        blind = np.full(len(gpus), np.nan)
        for inner in cards:
            if inner != outer:
                pair = (min(inner, outer), max(inner, outer))
                blind[gpus == inner] = found[pair][gpus == inner]
        for size in (data.large, ~data.large):
            width = factor(data, blind, (gpus != outer) & size)
            mine = (gpus == outer) & size
            covered[mine] = np.abs(np.log(card[mine] / data.measured[mine])) <= np.log(width)
    return covered


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
    return (*nets, f"DeepBench: {single} passes of single convolutions")


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
    x = data.model.fit(np.ones(len(data.model.gpu), bool))
    fitted = data.model.coefficients(x, about=ABOUT, sources=sources(data), spread=found.spread)
    if write:
        FILE.write_text(written(fitted), encoding="utf-8")
    parts = {
        "summary": summary(data, found),
        "ratios": ratios(data, found.card),
        "cells": cells(data, found),
        "small": small(data, found),
        "layers": layers_table(DATA),
        "excluded": excluded(),
    }
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
    print(parts["summary"])


if __name__ == "__main__":
    main(write="--write" in sys.argv[1:])
