"""How the worker process is started: which files it loads, and in which environment."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.packages import installed_version

_WORKER = Path(__file__).with_name("worker.py")


def command(library: CudnnLibrary) -> list[str]:
    """Return what starts a worker: an isolated Python, which starts fast and cannot meet torch."""
    frontend = find_frontend()
    assert frontend is not None
    return [sys.executable, "-I", "-S", str(_WORKER), str(frontend), str(library.path), *_preload(library)]


def environment() -> dict[str, str]:
    """Return this process's environment without what would touch a GPU, print, or change the answers."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CUDNN", "NVIDIA_TF32", "CUDA_VISIBLE"))}
    return kept | {"CUDA_VISIBLE_DEVICES": ""}


def _preload(library: CudnnLibrary) -> Iterator[str]:
    """Yield the cublasLt that cuDNN opens by name and, out of its package's usual company, would not find.

    Versions before 9.20 end the process where it is missing.
    """
    if sys.platform == "win32":
        return
    roots = [library.path.parents[3]] if len(library.path.parents) > 3 else []
    roots += [Path(entry) for entry in sys.path if entry]
    for major in (library.cuda,) if library.cuda else (13, 12):
        name = f"libcublasLt.so.{major}"
        places = [
            root / "nvidia" / part / "lib" / name for root in roots for part in (f"cu{major}", "cublas")
        ]
        places.append(Path(f"/usr/local/cuda-{major}/lib64") / name)
        yield from [str(place) for place in places if place.is_file()][:1]


@cache
def find_frontend() -> Path | None:
    """Return the compiled half of nvidia-cudnn-frontend; None where it is not installed. Imports nothing."""
    spec = find_spec("cudnn")
    for directory in spec.submodule_search_locations or () if spec is not None else ():
        for pattern in ("_compiled_module.*", "Release/_compiled_module.*"):
            for path in Path(directory).glob(pattern):
                if path.suffix in (".so", ".pyd"):
                    return path
    return None


@cache
def frontend_version() -> str:
    """Return the version of nvidia-cudnn-frontend; "" where it cannot be told."""
    return installed_version("nvidia_cudnn_frontend") or ""
