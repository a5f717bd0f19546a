"""The notebook's training, VGG-11 on Fashion-MNIST: how it is asked for, and what came out."""

from dataclasses import dataclass
from pathlib import Path

from vggprof.errors import UsageError
from vggprof.memory.report import MemoryReport
from vggprof.trace import Optimizer, Setup
from vggprof.trace.setup import MAX_BATCH

ARCH = "vgg11-d2l"
MAX_EPOCHS = 10_000
# Weights are drawn by torch.manual_seed, which takes what 64 bits hold, with a sign or without.
_SEEDS = range(-(2**63), 2**64)


@dataclass(frozen=True, slots=True)
class FashionPlan:
    """The training; defaults are the notebook's. Raises UsageError for numbers that make no sense."""

    data: Path  # folder with the four files
    arch: str = ARCH
    samples: int | None = None  # of training and of test images, from the first; None takes all
    epochs: int = 5
    batch: int = 32
    learning_rate: float = 0.05
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, most in (
            ("samples", self.samples, MAX_BATCH),
            ("epochs", self.epochs, MAX_EPOCHS),
            ("batch", self.batch, MAX_BATCH),
        ):
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"{name} {value} makes no sense; it must be between 1 and {most}")
        if self.seed not in _SEEDS:
            raise UsageError(f"a seed has 64 bits, and {self.seed} has more")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning rate {self.learning_rate} makes no sense; it must be above 0")

    def setup(self, images: int | None = None) -> Setup:
        """Return how the network is run; of fewer *images* than a batch has it is one of them all."""
        batch = self.batch if images is None else min(self.batch, images)
        return Setup(batch=batch, optimizer=Optimizer.SGD)


@dataclass(frozen=True, slots=True)
class Pass:
    """Once through the images: means over them, and seconds."""

    samples: int
    loss: float | None  # None where it is no number any more
    accuracy: float  # share of 1
    seconds: float

    @property
    def samples_per_s(self) -> float:
        """Images a second, with reading and rescaling them."""
        return self.samples / self.seconds


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch: training, and evaluation afterwards on images that it was not trained on."""

    train: Pass
    test: Pass


@dataclass(frozen=True, slots=True)
class MeasuredMemory:
    """What the training took; None where it does not apply."""

    allocated_bytes: int | None = None  # by PyTorch on the GPU, at most
    reserved_bytes: int | None = None
    # Of the process on the CPU, at most, over what it held before; None if it ever held more.
    resident_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out of a training; fewer epochs than asked for where memory ran out."""

    device: str  # "cuda" or "cpu"
    device_note: str | None  # why it is the CPU where it was left open
    train_images: int
    test_images: int
    epochs: tuple[Epoch, ...]
    memory: MeasuredMemory
    out_of_memory: str | None


@dataclass(frozen=True, slots=True)
class FashionReport:
    """A training, beside the memory that was predicted for it."""

    plan: FashionPlan
    trained: Trained
    predicted: MemoryReport

    @property
    def setup(self) -> Setup:
        """How the network was run."""
        return self.plan.setup(self.trained.train_images)
