"""How much of a GPU a product keeps busy: tiles, waves over the SMs, pieces of the sum, shared memory."""

from dataclasses import dataclass
from functools import lru_cache
from math import hypot

from vggprof.latency.work import Product

# Tiles of the result that one thread block computes, as in cuDNN's and cuBLAS's kernels, named after them
# (ampere_sgemm_128x128_nn, volta_scudnn_128x64_relu, ..._32x32_...): rows and columns.
TILES = ((256, 128), (128, 128), (128, 64), (64, 128), (64, 64), (128, 32), (32, 128), (32, 32))
# Shared memory gives an SM 128 bytes a clock (32 banks of 4 bytes, CUDA C++ Programming Guide), and each
# number of a tile's rows and columns is read by four warps.
_SHARED_BYTES, _READERS = 128, 4
# Steps of the inner sum that are lost in filling the pipeline and writing the tile: 128 x 128 numbers are
# 64 KiB, and memory takes 8 to 13 bytes a clock of each SM, as long as 30 to 40 steps of 128 lanes.
_PROLOGUE = 32


@dataclass(frozen=True, slots=True)
class Engine:
    """What multiplies and accumulates on a GPU."""

    sm_count: int
    macs_per_clock: int  # of one SM
    item_bytes: int  # of a number that is read


@lru_cache(maxsize=131_072)
def fill(product: Product, engine: Engine) -> float:
    """Return which share of the multiply-adds that *engine* could do *product* makes use of.

    The tile is the one with which it takes the shortest, of those that there are for it, and so is the number
    of pieces of the inner sum, up to what the product allows.
    """
    splits = [1]
    while splits[-1] * 2 <= product.splits:
        splits.append(splits[-1] * 2)
    tiles = [tile for tile in TILES if min(tile) >= product.least_tile]
    slots = min(_slots(product, tile, split, engine) for tile in tiles for split in splits)
    return product.macs / (slots * engine.sm_count)


def _slots(product: Product, tile: tuple[int, int], split: int, engine: Engine) -> float:
    """Multiply-adds' worth of time of one SM."""
    rows, columns = tile
    blocks = -(-product.m // rows) * -(-product.n // columns) * product.count * split
    waves = -(-blocks // engine.sm_count)
    steps = -(-product.k // split) + _PROLOGUE
    reading = engine.macs_per_clock * engine.item_bytes * _READERS / _SHARED_BYTES
    return waves * steps * hypot(rows * columns, reading * (rows + columns))
