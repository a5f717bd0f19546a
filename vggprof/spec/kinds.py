"""What an option of a layer may be: the kinds of values, with their bounds.

A field of an operator (`ops.py`) carries its kind in its type: ``Annotated[int, Whole(1, 64)]``. Kinds are
plain values, so that operators need no pydantic; `options.py` makes validators and JSON Schema of them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

# Bounds against slips of the pen, far above any published network. They also keep every size an int64: the
# largest activation has MAX_PIXELS ** 2 * MAX_CHANNELS * 4 = 1.1e16 bytes an image.
MAX_CHANNELS = 10_000_000
MAX_PIXELS = 16_384
MAX_KERNEL = 4_096


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from *low* to *high*, or one of *words*."""

    low: int
    high: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A whole number for height and width alike, or ``[height, width]``, or one of *words*."""

    low: int
    high: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A number from *low* to *high*."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Flag:
    """``true`` or ``false``."""


Kind = Whole | Pair | Number | Flag

Count = Annotated[int, Whole(1, MAX_CHANNELS)]
Groups = Annotated[int | Literal["depthwise"], Whole(1, MAX_CHANNELS, words=("depthwise",))]
HeightWidth = tuple[int, int]
Extent = Annotated[HeightWidth, Pair(1, MAX_KERNEL)]  # a kernel, stride or dilation
Margin = Annotated[HeightWidth, Pair(0, MAX_KERNEL)]
MarginOrSame = Annotated[HeightWidth | Literal["same"], Pair(0, MAX_KERNEL, words=("same",))]
Pixels = Annotated[HeightWidth, Pair(1, MAX_PIXELS)]
Probability = Annotated[float, Number(0.0, 1.0)]
Small = Annotated[float, Number(0.0, 1e6)]
Switch = Annotated[bool, Flag()]
