"""The workspaces that torch gives cuBLAS and cuBLASLt, by device, release and environment.

ATen/cuda/CublasHandlePool.cpp. What differs between releases was read from their libtorch_cuda.so as well:

| torch | 32 MiB on capability | cuBLAS | cuBLASLt |
| --- | --- | --- | --- |
| 2.11 | 9.x | kept for each thread and stream | 1 MiB of its own, kept too, after the cuBLAS one |
| 2.12, 2.13 | 9.x, 10.x, 12.x | kept | shares cuBLAS's |
| 2.14 | 9.x to 12.x | kept | shares cuBLAS's |
| 2.15 | 9.x to 12.x | taken and given back by each product | likewise, 1 MiB |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from vggprof.memory.workspaces.actions import Action, Keep, Take

# parseChosenWorkspaceSize: :4096:2:16:8, and 32 MiB where cuBLAS recommends it.
DEFAULT_BYTES = 4096 * 1024 * 2 + 16 * 1024 * 8
LARGE_BYTES = 32 * 2**20
# parseCUDABlasLtWorkspaceSize: 1024 KiB.
LT_BYTES = 2**20

# First releases of a behaviour.
_BLACKWELL, _SHARED, _THOR, _SCOPED = (2, 12), (2, 12), (2, 14), (2, 15)

_POOL = re.compile(r":([0-9]+):([0-9]+)")


class Library(Enum):
    """Who computes a matrix product."""

    CUBLAS = "cuBLAS"
    CUBLASLT = "cuBLASLt"


@dataclass(frozen=True, slots=True)
class BlasSettings:
    """What the environment of the training says; None where it says nothing."""

    workspace_config: str | None = None  # CUBLAS_WORKSPACE_CONFIG
    lt_workspace_kib: int | None = None  # CUBLASLT_WORKSPACE_SIZE
    shared: bool | None = None  # TORCH_CUBLASLT_UNIFIED_WORKSPACE
    kept: bool | None = None  # TORCH_CUBLAS_WORKSPACE_CACHE, from 2.15
    lt_for_bias: bool = True  # not DISABLE_ADDMM_CUDA_LT=1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "BlasSettings":
        """Read the settings as torch reads them; what cannot be read is ignored there with a warning."""
        size = environment.get("CUBLASLT_WORKSPACE_SIZE", "")
        return cls(
            workspace_config=environment.get("CUBLAS_WORKSPACE_CONFIG"),
            lt_workspace_kib=int(size) if size.isdigit() else None,
            shared=_flag(environment.get("TORCH_CUBLASLT_UNIFIED_WORKSPACE")),
            kept=_flag(environment.get("TORCH_CUBLAS_WORKSPACE_CACHE")),
            lt_for_bias=environment.get("DISABLE_ADDMM_CUDA_LT") != "1",
        )


@dataclass(frozen=True, slots=True)
class BlasTarget:
    """What decides the workspaces of a product."""

    capability: tuple[int, int]
    torch: tuple[int, int]
    settings: BlasSettings = field(default_factory=BlasSettings)


def _flag(text: str | None) -> bool | None:
    """Return the flag that *text* is: 0 or 1, and nothing else (c10::utils::check_env)."""
    return {"0": False, "1": True}.get(text or "")


def cublas_bytes(capability: tuple[int, int], torch: tuple[int, int], settings: BlasSettings) -> int:
    """Return the bytes of a cuBLAS workspace: getChosenWorkspaceSize."""
    pools = _POOL.findall(settings.workspace_config or "")
    if pools:
        return sum(int(kib) * 1024 * int(count) for kib, count in pools)
    large = {9}
    if torch >= _BLACKWELL:
        large |= {10, 12}
    if torch >= _THOR:
        large |= {11}
    return LARGE_BYTES if capability[0] in large else DEFAULT_BYTES


def cublaslt_bytes(settings: BlasSettings) -> int:
    """Return the bytes of a cuBLASLt workspace of its own: getCUDABlasLtWorkspaceSize."""
    return LT_BYTES if settings.lt_workspace_kib is None else settings.lt_workspace_kib * 1024


def product(library: Library, target: BlasTarget) -> tuple[Action, ...]:
    """Return the workspaces that a matrix product takes; a `Take` is given back when the product is done."""
    settings, torch = target.settings, target.torch
    nbytes = cublas_bytes(target.capability, torch, settings)
    release = f"torch {torch[0]}.{torch[1]}"
    if torch >= _SCOPED and not settings.kept:
        taken = nbytes if library is Library.CUBLAS else cublaslt_bytes(settings)
        return (Take(f"{library.value} workspace", taken, f"{release} takes it for each product"),)
    kept = f"{release} keeps it for each thread and stream"
    whole = Keep("cuBLAS workspace", nbytes, kept)
    shared = settings.shared if settings.shared is not None else torch >= _SHARED
    if library is Library.CUBLAS or shared:
        return (whole,)
    own = Keep("cuBLASLt workspace", cublaslt_bytes(settings), kept)
    return (own,) if torch >= _SHARED else (whole, own)
