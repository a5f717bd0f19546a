"""Scale jitter: what training on crops of images at random scales costs against a fixed scale.

Simonyan & Zisserman 2015, section 3.1: an image is rescaled so that its smaller side is S, a crop of the
network's input is taken at random and mirrored half of the time. S is 256 or 384, or drawn anew from
[256, 512] for each image. The GPU sees crops of one size whatever S is; what changes is the host's work.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vggprof.errors import UsageError
from vggprof.memory.report import MemoryReport
from vggprof.spec.kinds import MAX_PIXELS
from vggprof.trace import Setup, Shape

# Russakovsky et al. 2015, Table 2: training images of ILSVRC-2012.
IMAGENET_IMAGES = 1_281_167
MAX_WORKERS = 256


@dataclass(frozen=True, slots=True)
class Scales:
    """Smaller sides that images are rescaled to, from *low* to *high*. Raises UsageError for none."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= MAX_PIXELS:
            raise UsageError(f"scales from {self.low} to {self.high} make no sense; up to {MAX_PIXELS} go")

    def __str__(self) -> str:
        return f"S = {self.low}" if self.low == self.high else f"S in [{self.low}, {self.high}]"

    @property
    def pixels(self) -> float:
        """Pixels of a square image, over that at 256: in the mean over the scales."""
        sides = range(self.low, self.high + 1)
        return sum(side * side for side in sides) / len(sides) / 256**2


# Tables 3 and 4: fixed S, and S drawn anew for each image.
SCALES = (Scales(256, 256), Scales(384, 384), Scales(256, 512))


@dataclass(frozen=True, slots=True)
class JitterPlan:
    """What is measured. Raises UsageError for what makes no sense."""

    scales: tuple[Scales, ...] = SCALES
    data: Path | None = None  # folder with pictures, also in folders of it; None makes some
    workers: int = 0  # processes of the DataLoader; 0 rescales in the training's own
    seconds: float = 2.0  # for each of the scales
    step_ms: float | None = None  # of the training; None asks the prediction
    epoch_images: int = IMAGENET_IMAGES

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"{self.workers} workers make no sense; 0 to {MAX_WORKERS} go")
        for name, value in (("seconds", self.seconds), ("step_ms", self.step_ms)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} {value} makes no sense; it must be above 0")
        if self.epoch_images < 1:
            raise UsageError(f"an epoch of {self.epoch_images} images makes no sense")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How fast images come: opened, rescaled, cropped, mirrored, and put into batches."""

    scales: Scales
    images: int
    seconds: float
    workers: int

    @property
    def images_per_s(self) -> float:
        """With all workers."""
        return self.images / self.seconds


@dataclass(frozen=True, slots=True)
class Step:
    """How fast a training takes them."""

    name: str  # of the GPU, or where the time is from
    step_ms: float
    images: int  # in one step

    @property
    def images_per_s(self) -> float:
        """Images a second, where none is waited for."""
        return 1000 * self.images / self.step_ms


@dataclass(frozen=True, slots=True)
class Pace:
    """A pipeline and a training together."""

    pipeline: Pipeline
    step: Step
    epoch_images: int

    @property
    def input_bound(self) -> bool:
        """Whether the training waits for its images."""
        return self.pipeline.images_per_s < self.step.images_per_s

    @property
    def workers_needed(self) -> int:
        """Processes that bring images as fast as they are taken, if each is as fast as the measured ones."""
        each = self.pipeline.images_per_s / max(self.pipeline.workers, 1)
        return math.ceil(self.step.images_per_s / each)

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch, at the pace of the slower of the two."""
        return self.epoch_images / min(self.pipeline.images_per_s, self.step.images_per_s)


@dataclass(frozen=True, slots=True)
class JitterReport:
    """What fixed and random scales cost: the same memory on the GPU, and other paces."""

    arch: str
    setup: Setup
    crop: tuple[int, int]  # height, width
    pictures: str  # what was measured with
    memory: MemoryReport  # at every scale
    pipelines: tuple[Pipeline, ...]
    steps: tuple[Step, ...]  # empty where nobody could tell
    epoch_images: int

    @property
    def paces(self) -> tuple[Pace, ...]:
        """Every pipeline with every training."""
        return tuple(
            Pace(pipeline, step, self.epoch_images) for step in self.steps for pipeline in self.pipelines
        )


def crop_of(arch: str, input_shape: Shape, scales: Sequence[Scales]) -> tuple[int, int]:
    """Return the crop (height, width) that *arch* takes, of an input batch x channels x height x width.

    Raises UsageError for a network that takes no colour images, or where an image may be smaller.
    """
    if len(input_shape) != 4 or input_shape[1] != 3:
        taken = "x".join(map(str, input_shape[1:]))
        raise UsageError(f"{arch} takes {taken}; scale jitter is for images in colour, 3xHxW")
    crop = (input_shape[2], input_shape[3])
    check_crop(scales, crop)
    return crop


def check_crop(scales: Sequence[Scales], crop: tuple[int, int]) -> None:
    """Raise UsageError where a rescaled image may be smaller than the *crop*."""
    for each in scales:
        if each.low < max(crop):
            raise UsageError(f"images at scale {each.low} are smaller than the crop of {crop[0]}x{crop[1]}")
