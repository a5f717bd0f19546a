"""Calibrations: what a process was seen to hold on one GPU outside PyTorch's allocator, stage by stage.

Under lazy loading (``CUDA_MODULE_LOADING``, the default since CUDA 11.7) a kernel takes memory when it is
first used, so what a training holds depends on what it runs. A calibration therefore runs what trainings run,
a stage after the other, once for each way to run a network, and says how many bytes each stage added: with
one ordinary call at least, with a variety of calls at most. A stage that comes later finds loaded what
earlier ones have loaded; `MeasuredRun.context` says what that makes uncertain.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vggprof.devices.context import Loading
from vggprof.devices.ranges import Range

# What a device says of usable memory that a calibration measured.
SOURCE: Final = "calibrated"


class Run(StrEnum):
    """A way to run a network, measured in a process of its own: each loads kernels of its own."""

    TRAIN_FP32 = "train_fp32"
    TRAIN_AMP = "train_amp"  # autocast to fp16
    INFER_FP32 = "infer_fp32"
    INFER_FP16 = "infer_fp16"  # fp16 weights


class Stage(StrEnum):
    """What was run and added to what the process holds."""

    CONTEXT = "context"  # the driver's context and one tensor
    CONV_FORWARD = "conv_forward"  # cuDNN
    CONV_BACKWARD = "conv_backward"
    LINEAR = "linear"  # cuBLAS, in training backward too
    POOL_LOSS = "pool_loss"  # activations, pooling and, in training, the loss
    OPTIMIZER = "optimizer"
    BATCH_NORM = "batch_norm"
    CHANNELS_LAST = "channels_last"  # convolutions in that layout
    BENCHMARK = "benchmark"  # convolutions under cudnn.benchmark, which tries every algorithm


class Method(StrEnum):
    """Whose figures were read."""

    PROCESS = "process"  # NVML's for this process
    GPU = "gpu"  # NVML's for the whole GPU, less what was in use before
    RUNTIME = "runtime"  # cudaMemGetInfo's for the whole GPU, on which nothing else was


@dataclass(frozen=True, slots=True)
class StageBytes:
    """What a stage added to the stages before it; ValueError unless ``0 <= least_bytes <= most_bytes``."""

    stage: Stage
    least_bytes: int  # by one ordinary call
    most_bytes: int  # by a variety of calls

    def __post_init__(self) -> None:
        if not 0 <= self.least_bytes <= self.most_bytes:
            raise ValueError(f"{self.stage}: not a range of bytes: {self.least_bytes}, {self.most_bytes}")


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """The stages of one process in the order in which they ran; ValueError for one that is there twice."""

    run: Run
    stages: tuple[StageBytes, ...]

    def __post_init__(self) -> None:
        if len({one.stage for one in self.stages}) != len(self.stages):
            raise ValueError(f"{self.run}: a stage is there twice")

    def context(self, needed: frozenset[Stage]) -> Range | None:
        """Return the bytes outside the allocator of a process that runs the *needed* stages.

        The low end is one ordinary call of each; the high end is the variety of each, and all of a stage that
        is not needed but ran before one that is: what both need was counted with the first of them. The
        likely value is halfway to the varieties. None where a needed stage was not measured.
        """
        if needed - {one.stage for one in self.stages}:
            return None
        counted = [one for one in self.stages if one.stage in needed]
        last = max((self.stages.index(one) for one in counted), default=0)
        passed = sum(one.most_bytes for one in self.stages[:last] if one.stage not in needed)
        least, most = (sum(getattr(one, end) for one in counted) for end in ("least_bytes", "most_bytes"))
        return Range(least, (least + most) // 2, most + passed)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured on one GPU with one driver and one torch."""

    device: str  # name of the `Device`: the catalogue's where it is there
    name: str  # as the driver shows it
    uuid: str | None
    driver: str | None
    torch: str  # as torch says it, "2.15.0+cu130"
    cuda: str | None  # that torch was built for
    cudnn: str | None  # "9.26.0"
    loading: Loading
    usable_bytes: int  # the total that torch sees
    method: Method
    alone: bool | None  # whether nothing else was on the GPU; None where the driver does not say
    measured: str  # UTC, ISO 8601
    vggprof: str  # version that measured
    runs: tuple[MeasuredRun, ...]

    def context(self, run: Run, needed: frozenset[Stage]) -> Range | None:
        """Return the bytes outside the allocator as `MeasuredRun.context` does; None where not measured."""
        found = next((one for one in self.runs if one.run is run), None)
        return None if found is None else found.context(needed)

    @property
    def caution(self) -> str | None:
        """What makes the figures less sure; None where nothing does."""
        if self.method is Method.PROCESS or self.alone:
            return None
        who = (
            "the driver does not say whether others were active"
            if self.alone is None
            else "others were active"
        )
        return f"figures are of the whole GPU, and {who} on it"

    @property
    def made_with(self) -> str:
        """The software, for people: ``torch 2.15.0+cu130, CUDA 13.0, cuDNN 9.26.0, driver 580.95.05``."""
        parts = (("torch", self.torch), ("CUDA", self.cuda), ("cuDNN", self.cudnn), ("driver", self.driver))
        return ", ".join(f"{name} {version}" for name, version in parts if version is not None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The GPU and the software that a prediction is for; what is None may be any."""

    device: str
    torch: str  # a version or the beginning of one, "2.15"
    loading: Loading = "lazy"
    uuid: str | None = None
    driver: str | None = None
    cudnn: str | None = None

    def fits(self, calibration: Calibration) -> bool:
        """Whether *calibration* was made on such a GPU with such software."""
        return (
            calibration.device == self.device
            and calibration.loading == self.loading
            and _begins(calibration.torch, self.torch)
            and (self.driver is None or calibration.driver == self.driver)
            and (self.cudnn is None or _agree(calibration.cudnn, self.cudnn))
        )


def choose_calibration(
    remembered: Iterable[Calibration], wanted: Wanted
) -> tuple[Calibration | None, str | None]:
    """Return the calibration that fits *wanted*, of this very card rather than the newest, or why none does.

    The reason is a sentence for people, and None where there is none of that GPU at all.
    """
    same = [one for one in remembered if one.device == wanted.device]
    fitting = [one for one in same if wanted.fits(one)]
    if fitting:
        return max(fitting, key=lambda one: (one.uuid == wanted.uuid, one.measured)), None
    if not same:
        return None, None
    newest = max(same, key=lambda one: one.measured)
    return None, (
        f"{wanted.device}: a calibration is remembered, but for {newest.made_with} and {newest.loading} "
        "loading; `vggprof calibrate` measures it anew."
    )


def calibrations_of(remembered: Iterable[Calibration], gpu: str) -> tuple[Calibration, ...]:
    """Return those in whose GPU's names or UUID every word of *gpu* occurs; all where there is no word."""
    words = gpu.casefold().split()
    return tuple(
        one
        for one in remembered
        if all(word in f"{one.device} {one.name} {one.uuid}".casefold() for word in words)
    )


def _begins(version: str, wanted: str) -> bool:
    """Whether *version* is *wanted* or says it more exactly: 2.15.0+cu130 is 2.15."""
    return version == wanted or version.startswith((f"{wanted}.", f"{wanted}+"))


def _agree(version: str | None, wanted: str) -> bool:
    """Whether two versions are the same as far as both tell."""
    pairs = zip((version or "").split("."), wanted.split("."), strict=False)
    return version is not None and all(one == other for one, other in pairs)
