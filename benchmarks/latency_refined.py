"""How much nearer one measurement on a card brings what is predicted of its other networks.

    python benchmarks/latency_refined.py     # writes the table into docs/latency.md; takes minutes

Every card is left out of the fit, single convolutions measured on it included, and then one published time of
it (VGG-16, large batch, training where there is one) is given to the refinement. Errors are of the card's
other networks, batch 12 and more.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from latency import percent
from latency_fit import HOSTS, host_of
from latency_parameters import as_coefficients
from latency_rows import Row, work_of
from latency_validation import Data, architecture, load
from pages import filled

from vggprof.latency.coefficients import Coefficients, coefficients
from vggprof.latency.factors import Factors, with_factors
from vggprof.latency.host import run_queue
from vggprof.latency.interval import LARGE_BATCH
from vggprof.latency.pricing import Price, Pricer
from vggprof.latency.refinement import Evidence, Prior, Refinement, Time, refine, slopes

PAGE = Path(__file__).parents[1] / "docs" / "latency.md"
# What published times scatter by, about: several series of one card and network (nets.csv tells medians).
NOISE = 0.02
# The measurement that a card gives: the first of these networks, modes and dtypes that it has.
_NETWORKS = ("vgg16", "vgg11", "vgg19", "resnet50", "alexnet")
_MODES = ("train", "forward", "infer", "backward")


@dataclass(frozen=True)
class Blind:
    """What a fit that has not seen a card makes of its rows."""

    fitted: Coefficients
    copy_s_per_byte: float
    host_us: dict[str, float]  # by framework

    def ms(self, row: Row, factors: Factors) -> tuple[float]:
        """Return the milliseconds of *row* under *factors*."""
        host, device = self.host_us[host_of(row)], row.device
        fitted = with_factors(replace(self.fitted, host_us=host), device.architecture, factors)
        pricer = Pricer(device, fitted)
        trace, work = _work_of(row)
        prices: defaultdict[int, tuple[Price, ...]] = defaultdict(tuple)
        for each in work:
            prices[each.operator] += (pricer.price(each),)
        numbered = [
            (index, op)
            for index, op in enumerate(trace.operators)
            if op.step == trace.steps - 1 and op.phase in row.phases
        ]
        elapsed = run_queue(numbered, prices, host_s=1e-6 * fitted.host_us)
        return (1000 * (elapsed.total_s + self.copy_s_per_byte * row.copied_bytes),)


@dataclass(frozen=True)
class Refined:
    """One row of a card, with the times predicted before and after the card's one measurement."""

    row: Row
    before_ms: float
    after_ms: float
    covered: bool  # by the interval after it
    narrowing: float


@dataclass(frozen=True)
class Card:
    """The measurement that a card gave, and its other networks."""

    given: Row
    others: tuple[Refined, ...]


_DATA: Data
_work_of = lru_cache(maxsize=4)(work_of)  # the same row is priced under several factors


def blind(data: Data, gpu: str) -> Blind:
    """Return a fit without any row of *gpu*."""
    model = data.model
    x = data.fit("gpu", (gpu,), (data.fit("generation", (architecture(gpu),)),))
    slots = {name: np.exp(x[slot.start : slot.stop]) for name, slot in model.slots.items()}
    over_boost = model.over_boost(x, model.gpu != gpu)
    return Blind(
        fitted=as_coefficients(x, model.slots, over_boost, coefficients().spread),
        copy_s_per_byte=float(slots["copy"][0]),
        host_us=dict(zip(HOSTS, map(float, 1e6 * slots["host"]), strict=True)),
    )


def given(rows: list[Row]) -> Row:
    """Return the row that is measured: VGG-16 in training, fp32, at a batch near 32, or the nearest to it."""

    def far(row: Row) -> tuple[float, ...]:
        network = _NETWORKS.index(row.arch) if row.arch in _NETWORKS else len(_NETWORKS)
        half = "fp16" in row.dtype
        return network, _MODES.index(row.mode), half, row.layout != "contiguous", abs(np.log(row.batch / 32))

    return min(rows, key=far)


def card(gpu: str) -> Card:
    """Return what *gpu*'s one measurement makes of its other networks."""
    rows = [row for row in _DATA.rows if row.gpu == gpu and row.batch >= LARGE_BATCH]
    fit, one = blind(_DATA, gpu), given(rows)
    prior = Prior(coefficients().spread, measured=True)
    told = Evidence(one.arch, one.arch, one.batch, (Time(one.ms, NOISE),), partial(fit.ms, one))
    found = refine([told], prior)
    others = [row for row in rows if row.arch != one.arch]
    return Card(one, tuple(_refined(fit, found, row) for row in others))


def _refined(fit: Blind, found: Refinement, row: Row) -> Refined:
    (before,) = fit.ms(row, {})
    (after,), (slope,) = slopes(partial(fit.ms, row), found.logs)
    narrowing = found.narrowing(slope, row.batch)
    width = narrowing * np.log(coefficients().spread.large)
    return Refined(row, before, float(np.exp(after)), abs(after - np.log(row.ms)) <= width, narrowing)


def lines(cards: list[Card]) -> list[list[str]]:
    """Return a line a card that has other networks, and one for all of them."""
    known = [each for each in cards if each.others]
    found = [
        [each.others[0].row.gpu, *_say(each.given), *_errors(list(each.others), each.given.dtype)]
        for each in known
    ]
    everything = [other for each in known for other in each.others]
    same = [other for each in known for other in each.others if other.row.dtype == each.given.dtype]
    return [*found, ["all", "", *_errors(everything), f"{_mean(same, 'before')} to {_mean(same, 'after')}"]]


def _say(row: Row) -> list[str]:
    return [f"{row.arch}, {row.mode}, {row.dtype}, batch {row.batch}"]


def _errors(rows: list[Refined], dtype: str | None = None) -> list[str]:
    """Return number, errors before and after, and those within *dtype* where one is given."""
    same = [each for each in rows if each.row.dtype == dtype]
    within = [f"{_mean(same, 'before')} to {_mean(same, 'after')}"] if dtype else []
    covered = percent(float(np.mean([each.covered for each in rows])))
    return [str(len(rows)), _mean(rows, "before"), _mean(rows, "after"), covered, *within]


def _mean(rows: list[Refined], when: str) -> str:
    if not rows:
        return "-"
    return percent(float(np.mean([abs(getattr(each, f"{when}_ms") / each.row.ms - 1) for each in rows])))


def main() -> None:
    """Leave out each card, give one measurement back, and write the table."""
    global _DATA  # noqa: PLW0603 - the processes that fit inherit it
    _DATA = load()
    with Pool() as pool:
        cards = pool.map(card, sorted({row.gpu for row in _DATA.rows}), chunksize=1)
    header = ("GPU", "measured", "rows", "before", "after", "within the interval", "in that dtype")
    rows = lines(cards)
    PAGE.write_text(
        filled(PAGE.read_text(encoding="utf-8"), {"refined": (header, lambda: rows)}), encoding="utf-8"
    )
    print(*map(" | ".join, rows), sep="\n")


if __name__ == "__main__":
    main()
