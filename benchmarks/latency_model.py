"""The prices of all rows as arrays, with derivatives, and the search for the coefficients."""

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from latency_fit import (
    CLOCKS,
    FACTORS,
    FITTED,
    GENERATIONS,
    HOSTS,
    KINDS,
    NATIVE_SHARE,
    SHARES,
    TIED,
    TRAFFIC,
    Bools,
    Floats,
    Ints,
    Table,
)

from vggprof.latency.coefficients import OTHER, Coefficients, Generation, Spread
from vggprof.latency.work import Math, Part, Traffic

# Relative noise: of whole networks, and of single convolutions, which only guide.
_NET_NOISE, _KERNEL_NOISE = 0.08, 0.2
_HUBER = 1.5
# Rows of one cell (GPU, dtype, layout, mode) beyond this many count less.
_CELL = 15


@dataclass(frozen=True)
class Slot:
    """Where the parameters of one kind lie in the vector, with what draws them."""

    start: int
    centre: Floats
    width: Floats

    @property
    def stop(self) -> int:
        """Past the last."""
        return self.start + len(self.centre)


def _slots() -> dict[str, Slot]:
    shares = np.array([_logit(SHARES[kind]) for kind in (*FITTED, *TRAFFIC)])
    generations = len(GENERATIONS)
    parts = {
        "common": (shares, np.where(np.arange(len(shares)) < len(FITTED), 1.0, 0.7)),
        "deviation": (np.zeros(generations * len(shares)), np.full(generations * len(shares), 0.4)),
        "launch": (np.full(1, np.log(4e-6)), np.full(1, 0.15)),
        "launch_deviation": (np.zeros(generations), np.full(generations, 0.15)),
        "clock": (np.log([CLOCKS[name] for name in GENERATIONS]), np.full(generations, 0.025)),
        "passes": (np.zeros(len(FACTORS)), np.full(len(FACTORS), 0.05)),
        "host": (np.log(list(HOSTS.values())), np.full(len(HOSTS), 0.7)),
        "copy": (np.full(1, np.log(1 / 2.5e9)), np.full(1, 0.3)),
    }
    slots, start = {}, 0
    for name, (centre, width) in parts.items():
        slots[name] = Slot(start, centre, width)
        start += len(centre)
    return slots


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


@dataclass(frozen=True)
class Prices:
    """What the rows come to under one set of coefficients: a number a row, or one a way."""

    seconds: Floats  # of each row
    used: Bools  # ways that are the quickest, of kernels after the last that waited for the host
    computing: Floats  # where arithmetic takes longer than traffic
    moving: Floats  # traffic beside arithmetic where that takes longer
    around: Floats  # before and after it
    moved: Floats  # layout copies
    launch: Floats
    unreached: Floats  # share of the peak that is not reached: the derivative of a share's logarithm
    unreached_traffic: Floats
    unreached_transform: Floats
    unreached_layout: Floats
    behind: Floats  # a row: until the host had launched the last kernel that waited
    copying: Floats  # a row


class Model:
    """Times of the rows of a table under any coefficients, which are a vector of numbers without bounds."""

    def __init__(self, table: Table) -> None:
        self.slots = _slots()
        self.centre = np.concatenate([slot.centre for slot in self.slots.values()])
        self.width = np.concatenate([slot.width for slot in self.slots.values()])
        self.size = len(self.centre)
        self._rows(table)
        self._works(table)
        self._ways(table)

    def _rows(self, table: Table) -> None:
        self.gpu = np.array([row[0] for row in table.row])
        self.generation: Ints = np.array([row[1] for row in table.row])
        self.desktop = np.array([row[2] for row in table.row], float)
        self.boost: Floats = np.log(np.array([row[3] for row in table.row]))
        self.seconds: Floats = np.array([row[4] for row in table.row]) * 1e-3
        self.host_of: Ints = self.slots["host"].start + np.array([row[5] for row in table.row])
        self.copied = np.array([row[6] for row in table.row], float)
        single = np.array([row[7] for row in table.row], bool)
        _, cell, count = np.unique(
            ["|".join(row[8]) for row in table.row], return_inverse=True, return_counts=True
        )
        nets = _NET_NOISE * np.sqrt(np.maximum(1, count[cell] / _CELL))
        self.noise: Floats = np.where(single, _KERNEL_NOISE, nets)
        self.nets = ~single

    def _works(self, table: Table) -> None:
        work = np.array(table.work)
        row = work[:, 0].astype(int)
        self.host_before: Floats = work[:, 1]
        self.row_start = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        self.row_count = np.diff(np.r_[self.row_start, len(row)])
        self.work_row = row

    def _ways(self, table: Table) -> None:
        way = np.array(table.way)
        self.way_work, self.way_row = way[:, 0].astype(int), way[:, 1].astype(int)
        math, traffic, factor = (way[:, column].astype(int) for column in (2, 3, 4))
        self.compute, self.memory, self.around, self.layout, self.launches = way[:, 5:10].T
        self.compute = np.where(math == -2, self.compute / NATIVE_SHARE, self.compute)
        kinds = len(FITTED) + len(TRAFFIC)
        generation = self.generation[self.way_row]
        none = self.size  # the last column, always 0
        common, deviation = self.slots["common"].start, self.slots["deviation"].start
        layout, transform = (
            len(FITTED) + TRAFFIC.index(kind) for kind in (Traffic.LAYOUT, Traffic.TRANSFORM)
        )

        def share(kind: Ints) -> tuple[Ints, Ints]:
            known = kind >= 0
            return (
                np.where(known, common + kind, none),
                np.where(known, deviation + generation * kinds + kind, none),
            )

        self.math_at = share(math)
        self.has_share = math >= 0
        self.traffic_at = share(len(FITTED) + traffic)
        self.layout_at = share(np.full(len(way), layout))
        self.around_at = share(np.full(len(way), transform))
        self.factor_at = np.where(factor >= 0, self.slots["passes"].start + factor, none)
        self.clock_at = self.slots["clock"].start + generation
        self.launch_at = self.slots["launch_deviation"].start + generation
        self.overclocked = self.desktop[self.way_row] * (math != -1)
        self.way_start = np.flatnonzero(np.r_[True, self.way_work[1:] != self.way_work[:-1]])
        self.way_count = np.diff(np.r_[self.way_start, len(way)])

    def predict(self, x: Floats) -> Floats:
        """Return the seconds of each row."""
        return self._priced(x).seconds

    def at_boost(self, rows: Bools) -> "Model":
        """Return the model in which desktop cards of *rows* hold their boost clock, for want of a better."""
        changed = copy(self)
        changed.overclocked = np.where(rows[self.way_row], 0.0, self.overclocked)
        return changed

    def _priced(self, x: Floats) -> Prices:
        y = np.r_[x, 0.0]
        math, traffic, transform, layout = (
            _logistic(y[a] + y[b]) for a, b in (self.math_at, self.traffic_at, self.around_at, self.layout_at)
        )
        clock = (y[self.clock_at] - self.boost[self.way_row]) * self.overclocked
        compute = self.compute / np.where(self.has_share, math, 1.0) * np.exp(y[self.factor_at] - clock)
        memory, around = self.memory / traffic, self.around / transform
        moved = self.layout / layout
        launch = self.launches * np.exp(y[self.slots["launch"].start] + y[self.launch_at])
        times = np.maximum(compute, memory) + around + moved + launch
        quickest = np.minimum.reduceat(times, self.way_start)
        total, first = self._queued(quickest, np.exp(y[self.host_of]))
        copying = np.exp(y[self.slots["copy"].start]) * self.copied
        running = np.arange(len(quickest)) >= np.repeat(np.maximum(first, self.row_start), self.row_count)
        return Prices(
            seconds=total + copying,
            used=(times == np.repeat(quickest, self.way_count)) & running[self.way_work],
            computing=np.where(compute > memory, compute, 0.0),
            moving=np.where(compute > memory, 0.0, memory),
            around=around,
            moved=moved,
            launch=launch,
            unreached=(1 - math) * self.has_share,
            unreached_traffic=1 - traffic,
            unreached_transform=1 - transform,
            unreached_layout=1 - layout,
            behind=np.where(first >= 0, self.host_before[first] * np.exp(y[self.host_of]), 0.0),
            copying=copying,
        )

    def _gradient(self, found: Prices) -> Floats:
        """Return the derivatives of the logarithms of the rows' seconds."""
        gradient = np.zeros((len(found.seconds), self.size + 1))

        def add(at: Ints, value: Floats) -> None:
            cells = self.way_row[found.used] * gradient.shape[1] + at[found.used]
            gradient.ravel()[:] += np.bincount(cells, value[found.used], gradient.size)

        for at in self.math_at:
            add(at, -found.computing * found.unreached)
        for at in self.traffic_at:
            add(at, -found.moving * found.unreached_traffic)
        for at in self.around_at:
            add(at, -found.around * found.unreached_transform)
        for at in self.layout_at:
            add(at, -found.moved * found.unreached_layout)
        add(self.factor_at, found.computing)
        add(self.clock_at, -found.computing * self.overclocked)
        add(self.launch_at, found.launch)
        add(np.full(len(found.launch), self.slots["launch"].start), found.launch)
        gradient[np.arange(len(found.seconds)), self.host_of] += found.behind
        gradient[:, self.slots["copy"].start] += found.copying
        return gradient[:, : self.size] / found.seconds[:, None]

    def _queued(self, kernels: Floats, host_s: Floats) -> tuple[Floats, Ints]:
        """Return when the last kernel of each row ends, and the last one that waited for the host (-1: none).

        The GPU runs from the last kernel that waited without a break, so the end is the latest, over all
        kernels, of when the host launched it and what was left from it on.
        """
        done = np.cumsum(kernels)
        before_row = np.r_[0.0, done[self.row_start[1:] - 1]]
        before = done - kernels - np.repeat(before_row, self.row_count)
        late = np.repeat(host_s, self.row_count) * self.host_before - before
        latest = np.maximum.reduceat(late, self.row_start)
        where = np.flatnonzero(late >= np.repeat(latest, self.row_count))
        first = np.full(len(latest), -1)
        first[self.work_row[where][::-1]] = where[::-1]
        return np.add.reduceat(kernels, self.row_start) + np.maximum(latest, 0.0), np.where(
            latest > 0, first, -1
        )

    def fit(self, used: Bools, start: Floats | None = None, *, steps: int = 30) -> Floats:
        """Return the coefficients that fit the rows *used* best: damped Gauss-Newton with Huber's weights."""
        x: Floats = self.centre.copy() if start is None else start.copy()
        damping, cost = 1e-2, np.inf
        for _ in range(steps):
            found = self._priced(x)
            seconds, gradient = found.seconds, self._gradient(found)
            off = (np.log(seconds) - np.log(self.seconds)) / self.noise
            weight = np.where(np.abs(off) < _HUBER, 1.0, _HUBER / np.maximum(np.abs(off), 1e-9)) * used
            scaled = gradient / self.noise[:, None]
            prior = 1 / self.width**2
            curvature = (scaled * weight[:, None]).T @ scaled + np.diag(prior)
            slope = scaled.T @ (weight * off) + prior * (x - self.centre)
            cost = min(cost, self._cost(x, seconds, used))
            for _ in range(6):
                move = -np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), slope)
                tried = x + np.clip(move, -0.5, 0.5)
                new = self._cost(tried, self.predict(tried), used)
                if new < cost:
                    break
                damping *= 4
            else:
                return x
            small = cost - new < 2e-4 * cost
            x, cost = tried, new
            damping = max(damping / 5, 1e-4)
            if small:
                return x
        return x

    def _cost(self, x: Floats, seconds: Floats, used: Bools) -> float:
        off = np.abs(np.log(seconds) - np.log(self.seconds))[used] / self.noise[used]
        huber = np.where(off < _HUBER, off**2 / 2, _HUBER * off - _HUBER**2 / 2)
        return float(huber.sum() + (((x - self.centre) / self.width) ** 2).sum() / 2)

    def coefficients(
        self, x: Floats, *, about: str, sources: tuple[str, ...], spread: Spread
    ) -> Coefficients:
        """Return the coefficients of *x* as the package reads them."""
        part = {name: x[slot.start : slot.stop] for name, slot in self.slots.items()}
        deviations = part["deviation"].reshape(len(GENERATIONS), -1)
        launches = np.exp(part["launch"][0] + part["launch_deviation"])
        known = {
            name: _generation(
                name, part["common"] + deviations[i], 1e6 * launches[i], float(np.exp(part["clock"][i]))
            )
            for i, name in enumerate(GENERATIONS)
        }
        other = replace(
            _generation(OTHER, part["common"], 1e6 * float(np.exp(part["launch"][0])), 0.0),
            measured=False,
            desktop_clock_khz=None,
        )
        factors = dict(zip(FACTORS, np.exp(part["passes"]), strict=True))
        passes = {
            which: {math: float(factors[kind, which]) for math, kind in KINDS.items()}
            for which in (Part.DGRAD, Part.WGRAD)
        }
        return Coefficients(
            about, sources, {**known, OTHER: other}, passes, 1e6 * float(np.exp(part["host"][0])), spread
        )


def _generation(name: str, shares: Floats, launch_us: float, clock_ghz: float) -> Generation:
    reached = _logistic(shares)
    own: dict[Math, float] = dict(zip(FITTED, map(float, reached), strict=False))
    math = {each: NATIVE_SHARE if each is Math.NATIVE else own[TIED.get(each, each)] for each in Math}
    traffic = dict(zip(TRAFFIC, map(float, reached[len(FITTED) :]), strict=True))
    return Generation(name, True, math, traffic, float(launch_us), round(clock_ghz * 1e6))


def _logistic(value: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-value))
    return result
