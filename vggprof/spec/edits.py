"""What-if edits of a spec: short texts that change one thing, so that a cause can be switched off and seen.

    stage1 stride 4        of the first convolution of a stage, of the `stem`, or of all that a name fits
    conv5_* kernel 1       another kernel; padding follows, so that sizes stay
    conv1_1 channels 32
    1x1 for 3x3            every convolution with that kernel
    input 3x112x112        or `input 112`
    width 0.5              channels of every convolution; features of linear layers stay
    no classifier          hidden linear layers go; global average pooling and the last linear layer remain
    no lrn                 or dropout, or batch_norm
    add batch_norm         after every convolution that has none
    dense                  linear layers as convolutions, so that larger images give more scores, averaged
    single kernels         for each stack of convolutions, one with the same receptive field

Several are separated by `;`. Edits are values; nothing is built here.
"""

import re
from dataclasses import dataclass
from typing import Never, TypeAlias

from vggprof.errors import UsageError, did_you_mean
from vggprof.spec import ops
from vggprof.spec.archspec import InputShape
from vggprof.spec.head import parse_input
from vggprof.spec.kinds import MAX_CHANNELS, MAX_KERNEL, MAX_PIXELS

MAX_CHARACTERS = 1_000
MAX_WIDTH = 100.0
REMOVABLE: dict[str, type[ops.Op]] = {
    "lrn": ops.Lrn,
    "dropout": ops.Dropout,
    "batch_norm": ops.BatchNorm,
}
OPTIONS = ("stride", "kernel", "channels")
EXAMPLES = (
    "'stage1 stride 4', 'conv5_* kernel 1', 'conv1_1 channels 32', '1x1 for 3x3', 'input 3x112x112', "
    "'width 0.5', 'no classifier', 'no lrn' (or dropout, or batch_norm), 'add batch_norm', 'dense', "
    "'single kernels'"
)
_SQUARE = re.compile(r"([1-9]\d{0,3})x\1")


@dataclass(frozen=True, slots=True)
class Input:
    """Another input; one number stands for height and width."""

    shape: InputShape | int


@dataclass(frozen=True, slots=True)
class Width:
    """Channels of every convolution times *factor*, rounded, at least 1."""

    factor: float


@dataclass(frozen=True, slots=True)
class NoClassifier:
    """Nothing but global average pooling and the last linear layer behind the features."""


@dataclass(frozen=True, slots=True)
class Without:
    """Every layer of one kind, a word of `REMOVABLE`, left out."""

    word: str


@dataclass(frozen=True, slots=True)
class AddBatchNorm:
    """Batch normalisation after every convolution that has none."""


@dataclass(frozen=True, slots=True)
class Dense:
    """Convolutions for the linear layers, the first as large as what it takes, and scores averaged."""


@dataclass(frozen=True, slots=True)
class SingleKernels:
    """One convolution in the place of each stack of them, with the same receptive field."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Square kernels of one size instead of another."""

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Option:
    """A convolution's option set to *value*; *selector* is ``stem``, ``stage2``, or a name or pattern."""

    selector: str
    option: str
    value: int


Change: TypeAlias = (
    Input | Width | NoClassifier | Without | AddBatchNorm | Dense | SingleKernels | Kernels | Option
)

_PHRASES: dict[str, Change] = {
    "no classifier": NoClassifier(),
    "dense": Dense(),
    "single kernels": SingleKernels(),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """A change, and how it was said."""

    text: str
    change: Change


def parse_edits(text: str) -> tuple[Edit, ...]:
    """Return the edits that *text* says. Raises UsageError for what is none, with the nearest word."""
    parts = [" ".join(part.split()) for part in text[:MAX_CHARACTERS].split(";")]
    if len(text) > MAX_CHARACTERS or not all(parts):
        refuse(text[:60], f"it is empty or too long; edits are {EXAMPLES}")
    return tuple(Edit(part, _change(part)) for part in parts)


def _change(text: str) -> Change:  # noqa: PLR0911 - a form each
    if text in _PHRASES:
        return _PHRASES[text]
    match text.split():
        case ["input", size]:
            return Input(_input(text, size))
        case ["width", factor]:
            return Width(_factor(text, factor))
        case ["no", word]:
            if _long(word) not in REMOVABLE:
                allowed = ("classifier", *REMOVABLE)
                refuse(text, f"'no' takes {', '.join(allowed)}{did_you_mean(word, allowed)}")
            return Without(_long(word))
        case ["add", word]:
            if _long(word) != "batch_norm":
                refuse(text, f"'add' takes batch_norm{did_you_mean(word, ('batch_norm',))}")
            return AddBatchNorm()
        case [new, "for", old]:
            return Kernels(_square(text, old), _square(text, new))
        case [selector, option, value]:
            if option not in OPTIONS:
                refuse(text, f"{option!r} is none of {', '.join(OPTIONS)}{did_you_mean(option, OPTIONS)}")
            most = MAX_CHANNELS if option == "channels" else MAX_KERNEL
            return Option(selector, option, _whole(text, value, most))
        case words:
            near = did_you_mean(words[0], ("input", "width", "no", "add", "dense", "single"))
            return refuse(text, f"there is no such edit{near}; edits are {EXAMPLES}")


def _long(word: str) -> str:
    return "batch_norm" if word.lower() in ("bn", "batchnorm") else word.lower()


def _input(text: str, size: str) -> InputShape | int:
    if size.isascii() and size.isdigit():
        return _whole(text, size, MAX_PIXELS)
    shape = parse_input(size)
    if shape is None:
        refuse(text, "an input is written like 3x112x112, or 112 for its height and width")
    return shape


def _factor(text: str, factor: str) -> float:
    try:
        value = float(factor)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_WIDTH:
        refuse(text, f"a factor above 0 and up to {MAX_WIDTH:.0f} is wanted, as in width 0.5")
    return value


def _square(text: str, size: str) -> int:
    match = _SQUARE.fullmatch(size)
    if match is None:
        refuse(text, "kernels are written like 1x1 for 3x3")
    return int(match[1])


def _whole(text: str, value: str, most: int) -> int:
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value[:9]) <= most or len(value) > 9:
        refuse(text, f"{value!r:.40} is no whole number from 1 to {most:,}")
    return int(value)


def refuse(text: str, why: str) -> Never:
    """Raise UsageError for the edit *text*."""
    raise UsageError(f"edit {text!r}: {why}")
