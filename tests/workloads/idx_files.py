"""Small idx files like Fashion-MNIST's: grey images of 28x28 pixels whose class can be seen."""

import gzip
import random
import struct
from pathlib import Path

SIDE = 28


def write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content))


def head(*sizes: int) -> bytes:
    """The magic number of unsigned bytes with that many dimensions, and the dimensions."""
    return bytes((0, 0, 8, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes)


def image(label: int, rng: random.Random) -> bytes:
    """A bright bar, higher or lower by the class, in noise."""
    rows = range(2 * label + 2, 2 * label + 8)
    return bytes(
        rng.randrange(200, 256) if row in rows else rng.randrange(40)
        for row in range(SIDE)
        for _ in range(SIDE)
    )


def make_data(folder: Path, *, train: int, test: int) -> Path:
    """Write the four files into *folder* and return it."""
    for kind, count, seed in (("train", train, 1), ("t10k", test, 2)):
        rng = random.Random(seed)
        labels = bytes(index % 10 for index in range(count))
        pixels = b"".join(image(label, rng) for label in labels)
        write(folder / f"{kind}-images-idx3-ubyte.gz", head(count, SIDE, SIDE) + pixels)
        write(folder / f"{kind}-labels-idx1-ubyte.gz", head(count) + labels)
    return folder
