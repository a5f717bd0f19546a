"""Scratch memory of sums and means: where thread blocks meet that work on one output.

setReduceConfig and gpu_reduce_kernel in ATen/native/cuda/Reduce.cuh, the same in torch 2.11 to 2.15.
"""

from dataclasses import dataclass
from itertools import islice
from math import prod

from vggprof.memory.workspaces.actions import Action, Tape
from vggprof.memory.workspaces.convolution import Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.iterating import Axes, in_32_bits, pieces, reduction_axes
from vggprof.trace import ITEM_BYTES

# mnt_wrapper: threads of a block; warps of all NVIDIA GPUs.
_MAX_THREADS, _WARP = 512, 32
# Values that a thread sums at least, so that splitting pays, and at most.
_MIN_VALUES, _MAX_VALUES = 16, 256
_SEMAPHORE_BYTES = 4
# Pieces of a reduction that are looked at: they are alike, and each gives back what it takes.
_MAX_PIECES = 16
# Dtypes whose sums and means are modelled, with the bytes of the number that sums are kept in.
_SUM_BYTES = {"float16": 4, "bfloat16": 4, "float32": 4, "float64": 8}
# Sums that cast and add in one kernel: reduce_dispatch in ReduceSumProdKernel.cu.
_WIDENED = frozenset({("float16", "float32"), ("bfloat16", "float32")})


@dataclass(frozen=True, slots=True)
class _Config:
    """A launch: how the outputs and the values of each are divided among threads and blocks."""

    outputs: int
    blocks_per_output: int
    block_width: int
    vector: int  # outputs that a thread computes
    by_width: bool  # threads along the block's width share an output
    grid_width: int

    def staging_bytes(self, item: int) -> int:
        """global_memory_size: a partial sum for each block, or for each of its threads."""
        size = item * self.outputs * self.blocks_per_output
        return size if self.by_width else size * self.block_width * self.vector


def scratch(
    source: Strided, reduced: frozenset[int], *, dtype: str, out_dtype: str, device: DeviceProperties
) -> tuple[Action, ...] | None:
    """Return what summing *source* over the axes *reduced* takes besides its output; nothing for small ones.

    None where sums of *dtype* into *out_dtype* are not modelled.
    """
    if dtype not in _SUM_BYTES or (out_dtype != dtype and (dtype, out_dtype) not in _WIDENED):
        return None
    if source.elements == 0 or not source.shape:
        return ()
    item, held = ITEM_BYTES[dtype], _SUM_BYTES[dtype]
    axes = reduction_axes(source, reduced, in_item=item, out_item=ITEM_BYTES[out_dtype])
    tape = Tape(dtype)
    with tape.scope():
        if not in_32_bits(axes) and ITEM_BYTES[out_dtype] < held:
            outputs = max(1, *(axis.size * axis.out_bytes // ITEM_BYTES[out_dtype] for axis in axes))
            tape.take("sums of parts", outputs * held, "a float16 sum too large for 32-bit indices")
        for number, part in enumerate(islice(pieces(axes), _MAX_PIECES)):
            with tape.scope():
                _take(tape, _config(part, item=item, device=device), held, number)
    return tuple(tape.actions)


def _take(tape: Tape, config: _Config, held: int, number: int) -> None:
    if config.blocks_per_output > 1:
        source = f"{config.blocks_per_output} thread blocks sum each output"
        tape.take(f"partial sums {number}", config.staging_bytes(held), source)
        tape.take(f"semaphores {number}", _SEMAPHORE_BYTES * config.grid_width, source)


def _config(axes: Axes, *, item: int, device: DeviceProperties) -> _Config:
    """Return how the kernel is launched: setReduceConfig, with the vector lengths of sums and means."""
    outputs = prod(axis.size for axis in axes if not axis.reduced)
    values = prod(axis.size for axis in axes) // outputs
    reduced = sum(axis.reduced for axis in axes)
    inner = reduced == len(axes) or axes[0].in_bytes < axes[reduced].in_bytes
    width, height = (values, outputs) if inner else (outputs, values)
    vector = 1
    if axes[0 if inner else reduced].in_bytes == item:
        if not inner:
            vector = _output_vector(axes, reduced, item)
            width //= vector
        elif width >= 128 and reduced == 1:
            width //= 8 if item == 2 else 4
    block_width, block_height = _block(width, height, vector)
    step_in, step_out = (block_width, 1) if inner else (1, block_width)
    split = _ceil(values, step_in) >= min(block_height * 16, _MAX_VALUES)
    step_in, step_out = (step_in * block_height, step_out) if split else (step_in, step_out * block_height)
    grid_width = _ceil(outputs // vector, step_out)
    blocks = 1
    room = device.sm_count * (device.limits.threads_per_sm // (block_width * block_height))
    per_thread = _ceil(values, step_in)
    if split and per_thread >= _MAX_VALUES and grid_width <= room:
        wanted = min(_ceil(room, grid_width), _ceil(per_thread, _MIN_VALUES))
        blocks = max(wanted, _ceil(per_thread, _MAX_VALUES))
    return _Config(outputs, blocks, block_width, vector, inner, grid_width)


def _output_vector(axes: Axes, reduced: int, item: int) -> int:
    """Return how many outputs a thread computes: get_output_vec_size, at an aligned address."""
    vector = 4
    for number in (axes[reduced].size, *(a.in_bytes // item for i, a in enumerate(axes) if i != reduced)):
        while number % vector:
            vector //= 2
    return vector


def _block(width: int, height: int, vector: int) -> tuple[int, int]:
    """Return width and height of a thread block: set_block_dimension."""
    most = _MAX_THREADS // vector
    wide, high = (_last_power(size) if size < most else most for size in (width, height))
    block_width = min(wide, _WARP)
    block_height = min(high, most // block_width)
    return min(wide, most // block_height), block_height


def _last_power(number: int) -> int:
    """Return the largest power of two up to *number*, and 1 for none."""
    return 1 << max(number, 1).bit_length() - 1


def _ceil(number: int, by: int) -> int:
    return -(-number // by)
