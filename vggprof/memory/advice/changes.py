"""Changes that can make a training take less, as values: what each changes, and what kind of price it has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import reduce
from typing import TypeAlias, assert_never

from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.trace import Amp, Layout, Optimizer, Setup, ZeroGrad
from vggprof.units import MIB


@dataclass(frozen=True, slots=True)
class Case:
    """All of a training that a change can change: how the network is run, and with which settings."""

    setup: Setup
    settings: CudnnSettings
    allocator: AllocatorConfig


@dataclass(frozen=True, slots=True)
class InPlace:
    """Activations write over their input."""


@dataclass(frozen=True, slots=True)
class SetToNone:
    """zero_grad frees the gradients."""


@dataclass(frozen=True, slots=True)
class Expandable:
    """The allocator's segments grow."""


@dataclass(frozen=True, slots=True)
class MaxSplit:
    """The allocator does not split blocks above a size."""

    mebibytes: int


@dataclass(frozen=True, slots=True)
class BenchmarkOff:
    """cuDNN's heuristics choose the algorithms."""


@dataclass(frozen=True, slots=True)
class DeterministicOff:
    """Algorithms may sum in any order."""


@dataclass(frozen=True, slots=True)
class ChannelsLast:
    """Weights and images lie in channels_last order."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The images of a batch go through in as many pieces; in training their gradients are summed."""

    count: int
    batch_norm: bool = False  # whether there is one, whose statistics become those of a piece


@dataclass(frozen=True, slots=True)
class Autocast:
    """Convolutions and matrix products run in half precision."""

    amp: Amp


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Stages keep no activations and run forward once more in the backward pass."""

    stages: tuple[str, ...]
    macs: int  # of those stages' forward pass, whole batch
    but_classifier: bool = False  # whether there is a classifier, which "stages" leaves out

    @property
    def text(self) -> str:
        """The value of `Setup.checkpoint`."""
        return ",".join(self.stages)


@dataclass(frozen=True, slots=True)
class Lighter:
    """An optimizer that keeps less state."""

    optimizer: Optimizer


@dataclass(frozen=True, slots=True)
class FreezeBackbone:
    """Only the classifier learns."""


Change: TypeAlias = (
    InPlace
    | SetToNone
    | Expandable
    | MaxSplit
    | BenchmarkOff
    | DeterministicOff
    | ChannelsLast
    | Pieces
    | Autocast
    | Checkpoint
    | Lighter
    | FreezeBackbone
)


class Price(IntEnum):
    """What kind of price a change has; a later one is dearer than any number of earlier ones."""

    FREE = 0  # the same numbers, kept elsewhere or let go of earlier
    CHEAP = 1  # the same training with other kernels, in another precision or in smaller pieces
    MACS = 2  # the same numbers, some of them computed twice
    LEARNING = 3  # another training


def price(change: Change) -> Price:
    """Return what kind of price *change* has."""
    match change:
        case InPlace() | SetToNone() | Expandable() | MaxSplit():
            return Price.FREE
        case Lighter() | FreezeBackbone():
            return Price.LEARNING
        case BenchmarkOff() | DeterministicOff() | ChannelsLast() | Pieces() | Autocast():
            return Price.CHEAP
        case Checkpoint():
            return Price.MACS
        case _:
            assert_never(change)


Cost: TypeAlias = tuple[int, int, int, int, int]


def cost(changes: Sequence[Change]) -> Cost:
    """Return what *changes* cost together, for comparing; less is cheaper.

    What counts first is how many of them change what is learned, then the MACs that are computed twice, then
    how many change how it is computed, then the number of pieces, and last how many are free. Each doubling
    of pieces counts as a change: 2 are one, 3 and 4 two, up to 8 three, up to 16 four.
    """
    prices = [price(change) for change in changes]
    pieces = [change.count for change in changes if isinstance(change, Pieces)]
    return (
        prices.count(Price.LEARNING),
        sum(change.macs for change in changes if isinstance(change, Checkpoint)),
        prices.count(Price.CHEAP) - len(pieces) + sum((count - 1).bit_length() for count in pieces),
        sum(pieces),
        prices.count(Price.FREE),
    )


def changed(case: Case, changes: Sequence[Change]) -> Case:
    """Return *case* with all of *changes*. Raises UsageError where the result makes no sense."""
    return reduce(_changed, changes, case)


def _changed(case: Case, change: Change) -> Case:
    match change:
        case Expandable():
            return replace(case, allocator=replace(case.allocator, expandable_segments=True))
        case MaxSplit(mebibytes):
            return replace(case, allocator=replace(case.allocator, max_split_bytes=mebibytes * MIB))
        case BenchmarkOff():
            return replace(case, settings=replace(case.settings, benchmark=False))
        case DeterministicOff():
            return replace(case, settings=replace(case.settings, deterministic=False))
        case _:
            return replace(case, setup=_setup(case.setup, change))


def _setup(  # noqa: PLR0911 - a change each
    setup: Setup,
    change: InPlace | SetToNone | ChannelsLast | Pieces | Autocast | Checkpoint | Lighter | FreezeBackbone,
) -> Setup:
    match change:
        case InPlace():
            return replace(setup, inplace=True)
        case SetToNone():
            return replace(setup, zero_grad=ZeroGrad.NONE)
        case ChannelsLast():
            return replace(setup, layout=Layout.CHANNELS_LAST)
        case Pieces(count):
            times = count if setup.training else 1
            return replace(setup, batch=setup.batch // count, accumulate=setup.accumulate * times)
        case Autocast(amp):
            return replace(setup, amp=amp)
        case Checkpoint():
            return replace(setup, checkpoint=change.text)
        case Lighter(optimizer):
            return replace(setup, optimizer=optimizer)
        case FreezeBackbone():
            return replace(setup, freeze="backbone")
        case _:
            assert_never(change)
