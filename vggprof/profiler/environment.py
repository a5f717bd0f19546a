"""What a measurement was made on and with."""

import os
import platform
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vggprof._version import __version__
from vggprof.measurement import Environment

# Beginnings of variables that change what torch and the libraries under it do.
_VARIABLES = (
    *("CUBLAS", "CUDA_", "CUDNN_", "GOMP_", "KMP_", "MKL_"),
    *("NVIDIA_TF32", "OMP_", "ONEDNN_", "PYTORCH_", "TORCH_"),
)


def known_without_torch() -> Environment:
    """Return what can be said of this machine without torch; all else is None."""
    return Environment(
        device_name=cpu_name(),
        torch=_torch_version(),
        python=platform.python_version(),
        platform=platform.platform(),
        vggprof=__version__,
        threads=None,
        variables=tuple(sorted(item for item in os.environ.items() if item[0].startswith(_VARIABLES))),
    )


def here(device: str) -> Environment:
    """Return what *device*, ``cpu`` or ``cuda``, is and what torch computes with."""
    import torch  # noqa: PLC0415 - the process that only waits does without

    known = replace(known_without_torch(), torch=torch.__version__, threads=torch.get_num_threads())
    if device == "cpu":
        return known
    properties = torch.cuda.get_device_properties(0)
    return replace(
        known,
        device_name=properties.name,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        capability=(properties.major, properties.minor),
        sm_count=properties.multi_processor_count,
        total_memory_bytes=properties.total_memory,
    )


def cpu_name() -> str:
    """Return the CPU's name as the system shows it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name":
                return name.strip()
    return platform.processor() or platform.machine()


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "unknown"
