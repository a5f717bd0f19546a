"""How a network is run: everything besides ARCH that decides what a trace holds."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

from vggprof.errors import UsageError, did_you_mean

Word = TypeVar("Word", bound=StrEnum)

# Far above any real batch, far below where sizes leave 64 bits.
MAX_BATCH = 2**24
# A trace holds every micro-batch; more than these make no smaller peak.
MAX_ACCUMULATE = 1024


class Mode(StrEnum):
    """What is done with the network."""

    TRAIN = "train"
    INFER = "infer"


class Optimizer(StrEnum):
    """Optimizers of torch.optim with the reference loop's settings; momentum is SGD with momentum 0.9.

    CUSTOM stands for an optimizer that a program brought along; no command can name it.
    """

    SGD = "sgd"
    MOMENTUM = "momentum"
    ADAM = "adam"
    ADAMW = "adamw"
    RMSPROP = "rmsprop"
    ADAGRAD = "adagrad"
    CUSTOM = "custom"


class Amp(StrEnum):
    """Autocast and its dtype; in training fp16 comes with a GradScaler."""

    OFF = "off"
    FP16 = "fp16"
    BF16 = "bf16"


class Dtype(StrEnum):
    """Dtype of the weights and the input.

    CUSTOM stands for the dtypes of a module that a program brought along; no command can name it.
    """

    FP32 = "fp32"
    FP16 = "fp16"
    CUSTOM = "custom"


class Layout(StrEnum):
    """Memory format of the weights and the input."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"


class ZeroGrad(StrEnum):
    """What optimizer.zero_grad() makes of gradients: nothing, which frees them, or zeros in their place."""

    NONE = "none"
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to run a network; words stand for what they name. Raises UsageError for what makes no sense.

    A step takes *accumulate* micro-batches of *batch* images each. *freeze* is ``backbone``, or patterns of
    parameters' names (``conv1_*,conv2_*``); *checkpoint* is ``stages``, or names of them (``stage1,stage3``).
    """

    batch: int = 1
    mode: Mode = Mode.TRAIN
    optimizer: Optimizer = Optimizer.MOMENTUM
    dtype: Dtype = Dtype.FP32
    amp: Amp = Amp.OFF
    layout: Layout = Layout.CONTIGUOUS
    accumulate: int = 1
    inplace: bool = False  # activations write over their input, where that changes no result
    freeze: str | None = None
    checkpoint: str | None = None
    zero_grad: ZeroGrad = ZeroGrad.NONE

    def __post_init__(self) -> None:
        for field, kind in _WORDS.items():
            object.__setattr__(self, field, word(kind, getattr(self, field)))
        if not 1 <= self.batch <= MAX_BATCH:
            raise UsageError(f"batch {self.batch} cannot be run; it must be between 1 and {MAX_BATCH}")
        if self.mode is Mode.TRAIN and self.dtype is Dtype.FP16:
            raise UsageError("training with fp16 weights is not modelled; use --amp fp16, or --mode infer")
        if self.amp is not Amp.OFF and self.dtype is Dtype.FP16:
            raise UsageError("autocast on fp16 weights does nothing; use either --amp or --dtype fp16")
        if not 1 <= self.accumulate <= MAX_ACCUMULATE:
            raise UsageError(
                f"accumulate {self.accumulate} cannot be run; it must be between 1 and {MAX_ACCUMULATE}"
            )
        for field in ("freeze", "checkpoint"):
            if not all(self._names(field)):
                raise UsageError(f"{field} {getattr(self, field)!r} has an empty name")
        self._refuse_without_training()

    @property
    def training(self) -> bool:
        """Whether there is a loss, a backward pass and an optimizer step."""
        return self.mode is Mode.TRAIN

    @property
    def frozen(self) -> tuple[str, ...]:
        """What *freeze* names, in its order."""
        return self._names("freeze")

    @property
    def checkpointed(self) -> tuple[str, ...]:
        """What *checkpoint* names, in its order."""
        return self._names("checkpoint")

    def _names(self, field: str) -> tuple[str, ...]:
        said: str | None = getattr(self, field)
        return () if said is None else tuple(name.strip() for name in said.split(","))

    def _refuse_without_training(self) -> None:
        """Refuse for inference what only a training has."""
        said = [name for name in _OF_TRAINING if getattr(self, name) != DEFAULTS[name]]
        if said and not self.training:
            raise UsageError(f"{said[0]} is for training; inference has no backward pass")


_WORDS: dict[str, type[StrEnum]] = {
    "mode": Mode,
    "optimizer": Optimizer,
    "dtype": Dtype,
    "amp": Amp,
    "layout": Layout,
    "zero_grad": ZeroGrad,
}
_OF_TRAINING = ("optimizer", "accumulate", "freeze", "checkpoint", "zero_grad")
DEFAULTS = {field.name: field.default for field in fields(Setup)}


def word(kind: type[Word], said: str) -> Word:
    """Return the member of *kind* that is written *said*. Raises UsageError with the nearest one."""
    words = [member.value for member in kind]
    if said not in words:
        raise UsageError(f"{said!r} is none of {', '.join(words)}{did_you_mean(said, words)}")
    return kind(said)
