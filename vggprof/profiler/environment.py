"""What a measurement was made on and with, and what its process has held."""

import os
import platform
import re
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vggprof._version import __version__
from vggprof.measurement import Environment
from vggprof.units import KIB

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


def resident_peak_bytes() -> int | None:
    """Return the most physical memory that this process held so far; None where the system does not say.

    On Linux it is VmHWM of proc(5), for getrusage(2) begins with what the process that started it held.
    """
    if sys.platform == "linux":
        told = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return None if told is None else int(told[1]) * KIB
    elif sys.platform == "darwin":  # noqa: RET505 - what mypy takes for one of several systems
        import resource  # noqa: PLC0415 - not there on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes there
    else:
        return None


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "unknown"
