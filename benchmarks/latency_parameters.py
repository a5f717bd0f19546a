"""The coefficients as a vector of numbers without bounds, what draws each of them, and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    Floats,
)

from vggprof.latency.coefficients import OTHER, Coefficients, Generation, Spread
from vggprof.latency.work import Math, Part

# How far machines with one card are from each other: clocks, cooling, boards, software.
_MACHINES_APART = 0.08


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


def slots_for(machines: int) -> dict[str, Slot]:
    """Return where each parameter lies, with a factor of time for each of *machines*."""
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
        "machine": (np.zeros(machines), np.full(machines, _MACHINES_APART)),
    }
    slots, start = {}, 0
    for name, (centre, width) in parts.items():
        slots[name] = Slot(start, centre, width)
        start += len(centre)
    return slots


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def as_coefficients(
    x: Floats, slots: Mapping[str, Slot], over_boost: Mapping[str, float], spread: Spread
) -> Coefficients:
    """Return the coefficients of *x* as the package reads them, with those of `Model.over_boost`.

    Machines' factors, the speed of copies and the hosts of other frameworks stay behind.
    """
    part = {name: x[slot.start : slot.stop] for name, slot in slots.items()}
    deviations = part["deviation"].reshape(len(GENERATIONS), -1)
    launches = np.exp(part["launch"][0] + part["launch_deviation"])
    known = {
        name: _generation(
            name,
            part["common"] + deviations[i],
            1e6 * launches[i],
            round(1e6 * float(np.exp(part["clock"][i]))),
            over_boost.get(name, over_boost[OTHER]),
        )
        for i, name in enumerate(GENERATIONS)
    }
    launch_us = 1e6 * float(np.exp(part["launch"][0]))
    other = _generation(OTHER, part["common"], launch_us, None, over_boost[OTHER])
    factors = dict(zip(FACTORS, np.exp(part["passes"]), strict=True))
    passes = {
        which: {math: float(factors[kind, which]) for math, kind in KINDS.items()}
        for which in (Part.DGRAD, Part.WGRAD)
    }
    return Coefficients("", (), {**known, OTHER: other}, passes, 1e6 * float(np.exp(part["host"][0])), spread)


def _generation(
    name: str, shares: Floats, launch_us: float, clock_khz: int | None, over_boost: float
) -> Generation:
    reached = logistic(shares)
    own: dict[Math, float] = dict(zip(FITTED, map(float, reached), strict=False))
    math = {each: NATIVE_SHARE if each is Math.NATIVE else own[TIED.get(each, each)] for each in Math}
    traffic = dict(zip(TRAFFIC, map(float, reached[len(FITTED) :]), strict=True))
    return Generation(name, name != OTHER, math, traffic, float(launch_us), clock_khz, over_boost)


def logistic(value: Floats) -> Floats:
    """Return the shares, 0 to 1, that numbers without bounds stand for."""
    result: Floats = 1 / (1 + np.exp(-value))
    return result
