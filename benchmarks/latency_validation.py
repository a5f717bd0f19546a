"""Cross-validation of the fit of vggprof/latency: what is predicted of rows by fits that had not seen them.

Nothing that is held out goes into the fit that predicts it: a card (or a network, or a generation) is left
out whole, single convolutions measured on it included. Intervals are made from the errors on cards that were
left out, and checked on a card that was left out of that too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from multiprocessing import Pool

import numpy as np
from latency_fit import Bools, Floats, Table
from latency_kernels import kernels
from latency_model import Model
from latency_rows import Row, rows

from vggprof.devices import find_device
from vggprof.latency.coefficients import OTHER, Spread
from vggprof.latency.interval import LARGE_BATCH

COVERED = 0.8


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

    def fit(self, by: str, names: tuple[str, ...], starts: Sequence[Floats] = ()) -> Floats:
        """Return the coefficients of a fit without the rows whose *by* is among *names*.

        *by* is ``"gpu"``, ``"arch"``, of which single convolutions have none, or ``"generation"``.
        """
        return self.model.fit(~self._among(by, names), starts)

    def predicted(self, by: str, names: tuple[str, ...], x: Floats) -> Floats:
        """Return the milliseconds of all networks; no clock is known of a generation that was left out."""
        model, mine = self.model, self._among(by, names)
        if by == "generation":
            model = model.held_over_boost(mine, model.over_boost(x, ~mine)[OTHER])
        return 1000 * model.predict(x)[: len(self.rows)]

    def _among(self, by: str, names: tuple[str, ...]) -> Bools:
        of: list[str] = {
            "gpu": self.model.gpu.tolist(),
            "arch": [row.arch for row in self.rows] + [""] * (len(self.model.gpu) - len(self.rows)),
            "generation": [architecture(gpu) for gpu in self.model.gpu],
        }[by]
        return np.isin(of, names)

    def groups(self, by: str) -> tuple[str, ...]:
        """Return what each row belongs to."""
        of: dict[str, Callable[[Row], str]] = {
            "gpu": lambda row: row.gpu,
            "arch": lambda row: row.arch,
            "generation": lambda row: architecture(row.gpu),
        }
        return tuple(map(of[by], self.rows))


@cache
def architecture(gpu: str) -> str:
    """Return the generation of a GPU, ``"Ampere"``."""
    return find_device(gpu).architecture


def load() -> Data:
    """Return the data: traces are made where they are not cached, which takes minutes."""
    used = tuple(row for row in rows() if not row.excluded)
    table = Table()
    for row in used:
        table.net(row)
    for kernel in kernels():
        table.kernel(kernel)
    return Data(used, Model(table))


def fit_to_all(data: Data) -> Floats:
    """Return the coefficients of the fit to all rows; searches begin at the fits without a generation too."""
    names = sorted(set(data.groups("generation")))
    starts = [data.fit("generation", (name,)) for name in names]
    return data.model.fit(np.ones(len(data.model.gpu), bool), starts)


_DATA: Data
_STARTS: Mapping[tuple[str, ...], Floats] = {}  # by the generations that are left out


def _start(generations: tuple[str, ...]) -> Floats:
    return _DATA.fit("generation", generations)


def _leave_out(what: tuple[str, tuple[str, ...]]) -> Floats:
    by, names = what
    start = _STARTS.get(_generations(by, names))
    return _DATA.predicted(by, names, _DATA.fit(by, names, () if start is None else (start,)))


def _generations(by: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(map(architecture, names)))) if by == "gpu" else ()


def predictions(data: Data, by: str, groups: Sequence[tuple[str, ...]]) -> list[Floats]:
    """Return the predictions of a fit without each of *groups*: see ``Data.fit``.

    Where cards are left out, a search begins at the fit without their generations, which has not seen them.
    """
    global _DATA, _STARTS  # noqa: PLW0603 - the processes that fit inherit them
    _DATA = data
    found = sorted({_generations(by, group) for group in groups} - {()})
    with Pool() as pool:
        _STARTS = dict(zip(found, pool.map(_start, found, chunksize=1), strict=True))
    with Pool() as pool:
        return pool.map(_leave_out, [(by, group) for group in groups], chunksize=1)


def held_out(data: Data, by: str) -> Floats:
    """Return for every row the prediction of the fit that had not seen its group."""
    found, of = np.full(len(data.rows), np.nan), np.array(data.groups(by))
    names = np.unique(of)
    for name, predicted in zip(names, predictions(data, by, [(str(name),) for name in names]), strict=True):
        found[of == name] = predicted[of == name]
    return found


def factor(data: Data, predicted: Floats, used: Bools) -> float:
    """Return the factor within which, up or down, COVERED of the rows *used* lie."""
    return float(np.exp(np.quantile(np.abs(np.log(predicted / data.measured))[used], COVERED)))


def fair_factor(data: Data, predicted: Floats, used: Bools) -> float:
    """Return such a factor where every generation counts as much as any other, however many rows it has.

    A generation that nobody measured is one more of them, not one more row.
    """
    of = np.array(data.groups("generation"))[used]
    weights = np.array([1 / (of == name).sum() for name in of])
    errors = np.abs(np.log(predicted / data.measured))[used]
    order = np.argsort(errors)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(np.exp(errors[order][np.searchsorted(reached, COVERED)]))


def widening(data: Data, card: Floats, generation: Floats, used: Bools) -> float:
    """Return by what intervals widen without a generation, so that they cover COVERED of the rows *used*."""
    large = data.large & used
    return max(1.0, fair_factor(data, generation, large) / factor(data, card, large))


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
    card, net, generation = (held_out(data, by) for by in ("gpu", "arch", "generation"))
    spread = Spread(
        large=factor(data, card, data.large),
        small=factor(data, card, ~data.large),
        unmeasured=widening(data, card, generation, np.ones(len(data.rows), bool)),
    )
    return Validation(card, net, generation, nested(data, cards, card), spread)


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
