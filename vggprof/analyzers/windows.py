"""Which input pixels each output position sees, along one axis, exactly: the algebra of receptive fields.

Araujo, Norris, Sim: "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, gives size,
stride and offset of one window; after an upsampling neighbouring outputs have windows of different sizes, so
here the windows of a whole period are kept.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from math import gcd, lcm
from typing import TypeAlias

Window: TypeAlias = tuple[int, int] | None  # first and last input pixel, padding included; None sees no input


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of the outputs of one period, from the first; each further period lies *advance* pixels on."""

    cycle: tuple[Window, ...]
    advance: int

    def at(self, position: int) -> Window:
        """Window of the output at *position*, which may lie outside of the output."""
        turns, index = divmod(position, len(self.cycle))
        window = self.cycle[index]
        return window and (window[0] + turns * self.advance, window[1] + turns * self.advance)

    @property
    def size(self) -> int:
        """Input pixels from the first to the last that one output sees, of the widest window."""
        return max((last - first + 1 for first, last in filter(None, self.cycle)), default=0)

    @property
    def stride(self) -> int | float:
        """Input pixels from one output's window to the next one's, on average; below 1 after upsampling."""
        whole, rest = divmod(self.advance, len(self.cycle))
        return self.advance / len(self.cycle) if rest else whole

    @property
    def offset(self) -> int:
        """First input pixel of the first window, which is minus the effective padding."""
        return next((window[0] for window in self.cycle if window), 0)


class Beyond(Enum):
    """What no window describes."""

    WHOLE = "every output sees the whole input"
    UNDEFINED = "the outputs' windows do not lie evenly, or a rule is missing"


Reach: TypeAlias = Windows | Beyond
Reaches: TypeAlias = tuple[Reach, ...]  # one an axis of a tensor

PIXELS = Windows(((0, 0),), 1)  # the input itself


def slide(reach: Reach, *, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Reach:
    """Return the windows after a kernel of *size* taps slid over *reach*: a convolution or a pooling."""
    if isinstance(reach, Beyond):
        return reach
    period = len(reach.cycle) // gcd(len(reach.cycle), stride)

    def seen(position: int) -> Window:
        first = position * stride - padding
        return hull(reach.at(first + tap * dilation) for tap in range(size))

    return _periodic(seen, period, reach.advance * period * stride // len(reach.cycle))


def spread(reach: Reach, *, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Reach:
    """Return the windows after a transposed convolution.

    Input i reaches the outputs i x stride - padding + tap x dilation.
    """
    if isinstance(reach, Beyond):
        return reach

    def seen(position: int) -> Window:
        ends = (position + padding - tap * dilation for tap in range(size))
        return hull(reach.at(end // stride) for end in ends if end % stride == 0)

    return _periodic(seen, len(reach.cycle) * stride, reach.advance)


def enlarge(reach: Reach, *, factor: int, linear: bool = False) -> Reach:
    """Return the windows after upsampling: of the nearest input, or of the two around it (*linear*)."""
    if isinstance(reach, Beyond):
        return reach

    def seen(position: int) -> Window:
        if not linear:
            return reach.at(position // factor)
        # Centre of the output in inputs: (position + 0.5) / factor - 0.5, as with align_corners=False.
        left, rest = divmod(2 * position + 1 - factor, 2 * factor)
        return hull((reach.at(left), reach.at(left + 1 if rest else left)))

    return _periodic(seen, len(reach.cycle) * factor, reach.advance)


def union(reaches: Iterable[Reach]) -> Reach:
    """Return the windows of what depends on several things at the same place; there is at least one.

    Each is the hull, from the first pixel that one sees to the last: where they lie around one centre this is
    the largest. The whole input and anything is the whole input; different strides have no common windows.
    """
    several = tuple(reaches)
    if Beyond.WHOLE in several:
        return Beyond.WHOLE
    windows = [reach for reach in several if isinstance(reach, Windows)]
    period = lcm(*(len(reach.cycle) for reach in windows))
    advances = {reach.advance * period // len(reach.cycle) for reach in windows}
    if len(windows) < len(several) or len(advances) != 1:
        return Beyond.UNDEFINED
    return _periodic(lambda position: hull(reach.at(position) for reach in windows), period, advances.pop())


def hull(windows: Iterable[Window]) -> Window:
    """From the first pixel of all *windows* to the last."""
    seen = [window for window in windows if window]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


def _periodic(seen: Callable[[int], Window], period: int, advance: int) -> Windows:
    return Windows(tuple(seen(position) for position in range(period)), advance)
