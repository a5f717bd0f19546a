"""What a process holds on a GPU outside PyTorch's allocator: the CUDA context and its libraries' kernels.

Three parts, added end by end:

- *The bare context.* The driver sets memory aside for every thread that the GPU can hold (stacks, saved
  registers), so a context grows with SMs x threads an SM. Two published contexts without any kernel give the
  line: 256 MiB on an RTX 3090 (82 x 1,536 threads) and 426 MiB on an RTX 6000 Ada (142 x 1,536), so 1,934
  bytes a thread and 24 MiB. Held against it: a TITAN V (80 x 2,048) has 319 MiB where the line says 326.
- *PyTorch's own kernels.* Since CUDA 11.7 a kernel is loaded when it is first used (lazy), before that all
  of them with the library (eager).
- *The kernels of cuBLAS and cuDNN*, if a step calls them.

The parts after the first are differences of published whole-process figures, each in ``context.csv`` with
its derivation and source. Figures read through NVML's older memory query count the driver's own share as
used, so that share (``Device.reserved_by_driver``) has been taken off them and must be added to compare
with such a figure. Workspaces are the allocator's and not counted here. Nothing here is fitted to whole-net
measurements.
"""

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from vggprof.devices.device import Device
from vggprof.devices.ranges import Range
from vggprof.units import MIB

Library = Literal["cublas", "cudnn"]
Loading = Literal["lazy", "eager"]

_TABLE: Final = Path(__file__).with_name("context.csv")

# CUDA 11.7 brought lazy loading, and PyTorch asks for it: pytorch/pytorch#86509.
_LAZY_SINCE: Final = (11, 7)

_BARE_BYTES: Final = 24 * MIB
_BARE_BYTES_PER_THREAD: Final = 1934
_BARE_SPREAD_PERCENT: Final = 10  # the line misses the TITAN V by 2 %; drivers differ by more
_BARE_SOURCE: Final = (
    "24 MiB + 1,934 bytes a resident thread, +-10 %: "
    "github.com/invoke-ai/InvokeAI/issues/9413 (RTX 3090, 256 MiB); "
    "github.com/unslothai/unsloth-zoo/pull/1053 (RTX 6000 Ada, 426 MiB)"
)


@dataclass(frozen=True, slots=True)
class ContextPart:
    """One part of what a process holds outside the allocator."""

    name: str
    bytes: Range
    derivation: str
    source: str


def loading_of(cuda_version: tuple[int, int]) -> Loading:
    """Return how PyTorch loads kernels under *cuda_version* where ``CUDA_MODULE_LOADING`` is not set."""
    return "lazy" if cuda_version >= _LAZY_SINCE else "eager"


def loading_here() -> Loading:
    """Return how PyTorch loads kernels in this environment, under a CUDA that can load them lazily."""
    return "eager" if os.environ.get("CUDA_MODULE_LOADING", "").upper() == "EAGER" else "lazy"


def context_parts(
    device: Device,
    cuda_version: tuple[int, int],
    *,
    libraries: frozenset[Library],
    loading: Loading | None = None,
) -> tuple[ContextPart, ...]:
    """Return the parts of what a process on *device* holds outside the allocator, with their sources.

    *libraries* are those the step calls; *loading* overrides what the CUDA version implies.
    """
    rows = _rows()
    called = sorted(libraries)
    return (
        _bare(device),
        rows["torch", loading or loading_of(cuda_version)],
        *(rows[library, "any"] for library in called),
    )


def context_range(
    device: Device,
    cuda_version: tuple[int, int],
    *,
    libraries: frozenset[Library],
    loading: Loading | None = None,
) -> Range:
    """Return the bytes that a process on *device* holds outside the allocator: its `context_parts` added."""
    total = Range.exact(0)
    for part in context_parts(device, cuda_version, libraries=libraries, loading=loading):
        total += part.bytes
    return total


def _bare(device: Device) -> ContextPart:
    likely = _BARE_BYTES + _BARE_BYTES_PER_THREAD * device.resident_threads
    spread = likely * _BARE_SPREAD_PERCENT // 100
    derivation = f"{device.sm_count} SMs x {device.limits.threads_per_sm} threads"
    return ContextPart("context", Range(likely - spread, likely, likely + spread), derivation, _BARE_SOURCE)


@cache
def _rows() -> dict[tuple[str, str], ContextPart]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return {(row["part"], row["loading"]): _part(row) for row in csv.DictReader(file)}


def _part(row: dict[str, str]) -> ContextPart:
    low, likely, high = (int(row[end]) * MIB for end in ("low_mib", "likely_mib", "high_mib"))
    return ContextPart(row["part"], Range(low, likely, high), row["derivation"], row["source"])
