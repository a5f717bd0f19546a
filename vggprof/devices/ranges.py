"""A quantity that is not known to the byte: its low end, its likeliest value and its high end."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Range:
    """Three whole numbers of one unit, ``low <= likely <= high``; ValueError when they are not in order."""

    low: int
    likely: int
    high: int

    def __post_init__(self) -> None:
        if not self.low <= self.likely <= self.high:
            raise ValueError(f"not a range: {self.low}, {self.likely}, {self.high}")

    @classmethod
    def exact(cls, value: int) -> Self:
        """Return the range of a quantity that is known: all three are *value*."""
        return cls(value, value, value)

    @classmethod
    def around(cls, values: tuple[int, ...], likely: int) -> Self:
        """Return the range that holds all *values* and *likely*."""
        return cls(min((likely, *values)), likely, max((likely, *values)))

    @property
    def is_exact(self) -> bool:
        """Whether the quantity is known, so that the three are one."""
        return self.low == self.high

    def __add__(self, other: "Range") -> "Range":
        """Return the sum end by end: the ends of the parts are taken together, which is the widest case."""
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __sub__(self, other: "Range") -> "Range":
        """Return the difference at its widest: the low end takes the other's high end away."""
        return Range(self.low - other.high, self.likely - other.likely, self.high - other.low)

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high
