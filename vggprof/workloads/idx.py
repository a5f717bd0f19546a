"""MNIST's idx files: images and labels as bytes, gzipped, as yann.lecun.com/exdb/mnist describes them.

A file begins with two zero bytes, the type of its numbers (8: unsigned bytes) and how many dimensions there
are, then has each dimension as a big-endian 32-bit number, then the numbers. Nothing is read beyond them.
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

from vggprof.errors import FileFormatError

# Fashion-MNIST's training images are 47 MB; what says that it is far more is something else.
MAX_BYTES = 2**30
CLASSES = 10

_UNSIGNED_BYTES = 8


@dataclass(frozen=True, slots=True)
class Pictures:
    """Grey images of one size with a label each, from 0 to 9."""

    rows: int
    columns: int
    pixels: bytes  # image after image, row after row
    labels: bytes

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> bytes:
        """Return the pixels of one image."""
        size = self.rows * self.columns
        return self.pixels[index * size : (index + 1) * size]


def read_pictures(folder: Path, kind: str, samples: int | None = None) -> Pictures:
    """Return the first *samples* images and labels of *kind*, ``train`` or ``t10k``, in *folder*; or all.

    Raises FileFormatError for a file that is missing, damaged, not gzipped, of another kind, or of another
    length than the other one.
    """
    images, labels = folder / f"{kind}-images-idx3-ubyte.gz", folder / f"{kind}-labels-idx1-ubyte.gz"
    (count, rows, columns), pixels = _read(images, 3)
    (labelled,), classes = _read(labels, 1)
    if count != labelled:
        raise FileFormatError(f"{images} holds {count:,} images, but {labels} {labelled:,} labels")
    if not count or not rows * columns:
        raise FileFormatError(f"{images} holds no image")
    if max(classes) >= CLASSES:
        raise FileFormatError(f"{labels} holds the label {max(classes)}; labels are 0 to {CLASSES - 1}")
    chosen = count if samples is None else min(samples, count)
    return Pictures(rows, columns, pixels[: chosen * rows * columns], classes[:chosen])


def _read(path: Path, dimensions: int) -> tuple[tuple[int, ...], bytes]:
    """Return the dimensions and the numbers of an idx file of unsigned bytes."""
    try:
        with path.open("rb") as raw, gzip.open(raw) as file:
            return _content(cast(BinaryIO, file), path, dimensions)
    except FileNotFoundError as error:
        raise FileFormatError(f"there is no file {path}; Fashion-MNIST has four, ending in .gz") from error
    except gzip.BadGzipFile as error:
        raise FileFormatError(f"{path} is not a gzip file, or a damaged one: {error}") from error
    except (EOFError, zlib.error) as error:
        raise FileFormatError(f"{path} is damaged or truncated: {error}") from error
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}") from error


def _content(file: BinaryIO, path: Path, dimensions: int) -> tuple[tuple[int, ...], bytes]:
    magic = file.read(4)
    if not magic:
        raise FileFormatError(f"{path} is empty")
    wanted = bytes((0, 0, _UNSIGNED_BYTES, dimensions))
    if magic != wanted:
        raise FileFormatError(
            f"{path} begins with 0x{magic.hex()}, not 0x{wanted.hex()}: no idx file of unsigned bytes with "
            f"{dimensions} dimension{'s' if dimensions > 1 else ''}"
        )
    head = file.read(4 * dimensions)
    if len(head) < 4 * dimensions:
        raise FileFormatError(f"{path} is truncated: it ends within its dimensions")
    sizes = struct.unpack(f">{dimensions}I", head)
    said = prod(sizes)
    if said > MAX_BYTES:
        raise FileFormatError(f"{path} says that it holds {said:,} bytes, more than {MAX_BYTES:,}")
    content = file.read(said)
    if len(content) < said:
        raise FileFormatError(f"{path} is truncated: it says {said:,} bytes and holds {len(content):,}")
    if file.read(1):
        raise FileFormatError(f"{path} is longer than the {said:,} bytes that it says")
    return sizes, content
