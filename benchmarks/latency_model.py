"""The prices of all rows as arrays, with derivatives, and the search for the coefficients."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from latency_fit import FITTED, GENERATIONS, NATIVE_SHARE, TRAFFIC, Bools, Floats, Ints, Table
from latency_parameters import logistic, slots_for

from vggprof.latency.coefficients import OTHER
from vggprof.latency.work import Traffic

# Relative noise: of whole networks, and of single convolutions, which only guide.
_NET_NOISE, _KERNEL_NOISE = 0.08, 0.2
_HUBER = 1.5
# Rows of one cell (GPU, dtype, layout, mode) beyond this many count less.
_CELL = 15
# A search ends where a step improves the cost by less than that share of it, or after so many.
_SETTLED, _STEPS = 2e-5, 100


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
        self.slots = slots_for(len({row[8] for row in table.row if row[7]}))
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
        names = np.array(["|".join(row[8]) for row in table.row])
        _, cell, count = np.unique(names, return_inverse=True, return_counts=True)
        nets = _NET_NOISE * np.sqrt(np.maximum(1, count[cell] / _CELL))
        self.noise: Floats = np.where(single, _KERNEL_NOISE, nets)
        self.machine_of = np.full(len(names), self.size)  # the last column, always 0, for networks
        machines = np.unique(names[single], return_inverse=True)[1]
        self.machine_of[single] = self.slots["machine"].start + machines

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

    def over_boost(self, x: Floats, used: Bools) -> dict[str, float]:
        """Return how many times their boost clock desktop cards of the rows *used* hold, by generation.

        Of OTHER the mean, a generation counting as much as any other, as do the cards of a generation.
        """
        found: dict[str, float] = {}
        for number, name in enumerate(GENERATIONS):
            mine = used & (self.desktop > 0) & (self.generation == number)
            boosts = dict(zip(self.gpu[mine], self.boost[mine], strict=True))
            if boosts:
                held = x[self.slots["clock"].start + number]
                found[name] = float(np.exp(held - np.mean(list(boosts.values()))))
        return {**found, OTHER: float(np.exp(np.mean(np.log(list(found.values())))))}

    def held_over_boost(self, rows: Bools, factor: float) -> "Model":
        """Return the model in which desktop cards of *rows* hold *factor* times their boost clock."""
        changed, mine = copy(self), rows[self.way_row]
        changed.compute = np.where(mine, self.compute / factor**self.overclocked, self.compute)
        changed.overclocked = np.where(mine, 0.0, self.overclocked)
        return changed

    def _priced(self, x: Floats) -> Prices:
        y = np.r_[x, 0.0]
        math, traffic, transform, layout = (
            logistic(y[a] + y[b]) for a, b in (self.math_at, self.traffic_at, self.around_at, self.layout_at)
        )
        clock = (y[self.clock_at] - self.boost[self.way_row]) * self.overclocked
        machine = np.exp(y[self.machine_of])[self.way_row]
        factor = machine * np.exp(y[self.factor_at] - clock)
        compute = self.compute / np.where(self.has_share, math, 1.0) * factor
        memory, around = machine * self.memory / traffic, machine * self.around / transform
        moved = machine * self.layout / layout
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
        add(self.machine_of[self.way_row], found.computing + found.moving + found.around + found.moved)
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

    def fit(self, used: Bools, starts: Sequence[Floats] = ()) -> Floats:
        """Return the coefficients that fit the rows *used* best.

        Of searches from the centre and from each of *starts*: which algorithm is the quickest changes with
        the coefficients, so a search ends in one of several valleys.
        """
        found = [self._search(used, start) for start in (self.centre, *starts)]
        return min(found, key=lambda x: self._cost(x, self.predict(x), used))

    def _search(self, used: Bools, start: Floats) -> Floats:
        """Return where damped Gauss-Newton with Huber's weights ends."""
        x: Floats = start.copy()
        damping, cost = 1e-2, np.inf
        for _ in range(_STEPS):
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
            small = cost - new < _SETTLED * cost
            x, cost = tried, new
            damping = max(damping / 5, 1e-4)
            if small:
                return x
        return x

    def _cost(self, x: Floats, seconds: Floats, used: Bools) -> float:
        off = np.abs(np.log(seconds) - np.log(self.seconds))[used] / self.noise[used]
        huber = np.where(off < _HUBER, off**2 / 2, _HUBER * off - _HUBER**2 / 2)
        return float(huber.sum() + (((x - self.centre) / self.width) ** 2).sum() / 2)
