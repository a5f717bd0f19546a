"""How much of a GPU a product keeps busy: tiles, waves over the SMs, pieces of the sum, shared memory."""

from dataclasses import dataclass
from functools import lru_cache
from math import hypot

from vggprof.latency.work import Product

# Shared memory gives an SM 128 bytes a clock (32 banks of 4 bytes, CUDA C++ Programming Guide), and each
# number of a tile's rows and columns is read by four warps.
_SHARED_BYTES, _READERS = 128, 4
# Filling the pipeline and writing the tile take as long as writing it at so many bytes a clock: memory takes
# 8 to 13 of each SM, and the SM's other blocks hide some of it. On fp32 lanes these are 16 steps of the inner
# sum (64 lanes, where 8 to 16 fit NeuSight's single convolutions best) or 32 (128 lanes, where 32 fit
# DeepBench's best), on tensor cores 32 to 256.
_WRITTEN_BYTES = 16


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
    of pieces of the inner sum, up to what the product allows. What is not tiled loses nothing here.
    """
    if not product.tiles:
        return 1.0
    splits = [1]
    while splits[-1] * 2 <= product.splits:
        splits.append(splits[-1] * 2)
    slots = min(_slots(product, tile, split, engine) for tile in product.tiles for split in splits)
    return product.macs / (slots * engine.sm_count)


def _slots(product: Product, tile: tuple[int, int], split: int, engine: Engine) -> float:
    """Multiply-adds' worth of time of one SM."""
    rows, columns = tile
    blocks = -(-product.m // rows) * -(-product.n // columns) * product.count * split
    waves = -(-blocks // engine.sm_count)
    byte_macs = engine.macs_per_clock * engine.item_bytes  # done while a number moves at a byte a clock
    steps = -(-product.k // split) + byte_macs / _WRITTEN_BYTES
    reading = byte_macs * _READERS / _SHARED_BYTES
    return waves * steps * hypot(rows * columns, reading * (rows + columns))
