"""Crops of pictures at random scales, as a torch dataset, and how fast they come."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Protocol

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vggprof.errors import FileFormatError, UsageError
from vggprof.workloads.jitter import JitterPlan, Pipeline, Scales, check_crop
from vggprof.workloads.running.pillow import Image, tensor_of

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# Pictures without a folder of them: so many, of the size that ImageNet's have most often, as JPEG.
_MADE, _MADE_SIZE, _QUALITY = 16, (500, 375), 90
_BATCH = 8  # images of a batch; the pace is that of single ones
_ENDLESS = 2**31


class Pictures(Protocol):
    """Pictures with labels, as `PictureFiles` and torchvision's ImageFolder without a transform have them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]: ...


class ScaleJitter(Dataset[tuple[Tensor, int]]):
    """Random crops of *pictures* at random *scales*, mirrored half of the time: 3xHxW, from 0 to 1.

    What is drawn depends on *seed*, epoch and index alone, whatever the number of workers. Raises UsageError
    for a crop that is larger than a scale.
    """

    def __init__(
        self, pictures: Pictures, scales: Scales, *, crop: tuple[int, int] = (224, 224), seed: int = 0
    ) -> None:
        check_crop((scales,), crop)
        self._pictures, self._scales, self._crop, self._seed = pictures, scales, crop, seed
        self.epoch = 0  # count it up, so that each draws anew

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return the crop of picture *index* in this epoch, and its label."""
        picture, label = self._pictures[index]
        draw = random.Random(f"{self._seed}/{self.epoch}/{index}")
        return tensor_of(cropped(picture.convert("RGB"), self._scales, self._crop, draw)), label


def cropped(picture: Image.Image, scales: Scales, crop: tuple[int, int], draw: random.Random) -> Image.Image:
    """Return a crop (height, width) of *picture* rescaled to one of *scales*, mirrored or not."""
    side = draw.randint(scales.low, scales.high)
    factor = side / min(picture.size)
    width, height = (max(side, round(factor * pixels)) for pixels in picture.size)
    large = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = draw.randint(0, width - crop[1]), draw.randint(0, height - crop[0])
    taken = large.crop((left, top, left + crop[1], top + crop[0]))
    return taken.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else taken


class PictureFiles:
    """Files of pictures; the label is the number of the folder that one lies in."""

    def __init__(self, paths: Sequence[Path]) -> None:
        folders = sorted({path.parent for path in paths})
        self._files = [(path, folders.index(path.parent)) for path in paths]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Return picture *index* and its label. Raises FileFormatError for one that cannot be read."""
        path, label = self._files[index]
        try:
            with Image.open(path) as picture:
                return picture.convert("RGB"), label
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise FileFormatError(f"{path} is no picture that Pillow can read: {error}") from error


class _MadePictures:
    """Smooth JPEGs made here, opened each time as files are."""

    def __init__(self) -> None:
        draw = random.Random(0)
        self._files = [_jpeg(draw) for _ in range(_MADE)]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        with Image.open(BytesIO(self._files[index])) as picture:
            return picture.convert("RGB"), 0


class _Endless(Dataset[tuple[Tensor, int]]):
    """A dataset over and over."""

    def __init__(self, crops: ScaleJitter) -> None:
        self._crops = crops

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._crops[index % len(self._crops)]


def pictures_of(folder: Path | None) -> tuple[Pictures, str]:
    """Return the pictures below *folder*, or made ones, and what they are. Raises UsageError for none."""
    if folder is None:
        width, height = _MADE_SIZE
        return _MadePictures(), f"{_MADE} JPEGs of {width}x{height} made for this"
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise UsageError(f"{folder} holds no pictures; {', '.join(sorted(_SUFFIXES))} are looked for")
    return PictureFiles(paths), f"{len(paths):,} pictures of {folder}"


def measure(pictures: Pictures, plan: JitterPlan, crop: tuple[int, int]) -> Iterator[Pipeline]:
    """Yield how fast crops of *pictures* come at each of the scales. Raises as `ScaleJitter`."""
    for scales in plan.scales:
        crops = _Endless(ScaleJitter(pictures, scales, crop=crop))
        loader = DataLoader(crops, batch_size=_BATCH, num_workers=plan.workers)
        try:
            yield _timed(iter(loader), scales, plan)
        except FileFormatError as error:  # a worker's comes with its traceback before it
            *_, last = str(error).strip().splitlines()
            raise FileFormatError(last.removeprefix("vggprof.errors.FileFormatError: ")) from error


def _timed(batches: Iterator[list[Tensor]], scales: Scales, plan: JitterPlan) -> Pipeline:
    """Take batches for the time that *plan* says; those that workers had ready do not count."""
    for _ in range(1 + 2 * plan.workers):
        next(batches)
    begin, images = perf_counter(), 0
    while (took := perf_counter() - begin) < plan.seconds or not images:
        images += len(next(batches)[0])
    return Pipeline(scales, images, took, plan.workers)


def _jpeg(draw: random.Random) -> bytes:
    small = Image.frombytes("RGB", (16, 12), draw.randbytes(16 * 12 * 3))
    file = BytesIO()
    small.resize(_MADE_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
