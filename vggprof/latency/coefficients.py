"""The fitted coefficients: few, each with a meaning, by generation of GPUs and never by card or network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from vggprof.latency.work import Math, Part, Traffic

FILE: Final = Path(__file__).with_name("coefficients.json")
# Key of what holds for generations that nobody measured: the mean over those that were.
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Generation:
    """What the GPUs of one generation reach."""

    name: str
    measured: bool  # whether anything of this generation was fitted to
    math: Mapping[Math, float]  # share of the units' peak, 0 to 1
    traffic: Mapping[Traffic, float]  # share of the memory's bandwidth, 0 to 1
    launch_us: float  # that a kernel takes at least
    # What desktop cards hold under load, whatever boost is printed on the box; None where none is known.
    desktop_clock_khz: int | None
    desktop_over_boost: float  # and how many times the boost clock that is


@dataclass(frozen=True, slots=True)
class Spread:
    """How far measurements lie from predictions: 80 of 100 are within *factor*, up or down."""

    large: float  # from batch 12 on
    small: float  # below
    unmeasured: float  # what both widen by on a generation that nobody measured


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Everything that was fitted."""

    about: str
    sources: tuple[str, ...]
    generations: Mapping[str, Generation]
    # Time of a backward pass, against a forward one of the same work.
    passes: Mapping[Part, Mapping[Math, float]]
    host_us: float  # that the host takes for an operator in eager mode
    spread: Spread

    def of(self, architecture: str) -> Generation:
        """Return what holds for *architecture*, ``"Ampere"``."""
        return self.generations.get(architecture, self.generations[OTHER])

    def pass_factor(self, part: Part, math: Math) -> float:
        """Return how much longer *part* takes than a forward pass of the same work."""
        return self.passes.get(part, {}).get(math, 1.0)


@cache
def coefficients() -> Coefficients:
    """Return those that are shipped."""
    return coefficients_of(json.loads(FILE.read_text(encoding="utf-8")))


def coefficients_of(read: Mapping[str, Any]) -> Coefficients:
    """Return the coefficients that a file says. Raises KeyError or ValueError for what is none."""
    return Coefficients(
        about=read["about"],
        sources=tuple(read["sources"]),
        generations={name: _generation(name, row) for name, row in read["generations"].items()},
        passes={
            Part(part): {Math(math): float(factor) for math, factor in row.items()}
            for part, row in read["passes"].items()
        },
        host_us=float(read["host_us"]),
        spread=Spread(**{name: float(value) for name, value in read["spread"].items()}),
    )


def _generation(name: str, row: Mapping[str, Any]) -> Generation:
    return Generation(
        name=name,
        measured=bool(row["measured"]),
        math={Math(math): float(share) for math, share in row["math"].items()},
        traffic={Traffic(kind): float(share) for kind, share in row["traffic"].items()},
        launch_us=float(row["launch_us"]),
        desktop_clock_khz=row["desktop_clock_khz"],
        desktop_over_boost=float(row["desktop_over_boost"]),
    )
