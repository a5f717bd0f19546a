"""The process that one run of a calibration is: a context lives as long as its process.

``python -m vggprof.profiler.calibration_process RUN SELECTOR`` prints JSON lines on standard output:
``{"about": ...}`` with the versions, a row a stage (see `readings`), or ``{"error": ...}`` with the reason
for which the GPU cannot be used. SELECTOR is the GPU's UUID, or its index where the driver hides that.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from vggprof.devices.calibrations import Run
from vggprof.devices.nvml import Asked, NvmlFailed, session


def main(run: str, selector: str) -> None:
    """Print what the process holds after each stage of *run* on the GPU that *selector* names."""
    try:
        with session() as nvml:
            asked = nvml.gpu(int(selector)) if selector.isdigit() else nvml.gpu_named(selector)
            for line in _lines(Run(run), asked):
                _print(line)
    except NvmlFailed as failed:
        _print({"error": str(failed)})
    except Exception as error:  # torch raises RuntimeError, AssertionError and kinds of its own
        words = " ".join(str(error).strip().partition("\n")[0].split()) or type(error).__name__
        _print({"error": f"torch cannot use the GPU: {words.partition(' Please ')[0].rstrip('.')}"})


def _print(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


def reading(stage: str, asked: Asked) -> dict[str, Any]:
    """Return what NVML says after *stage*: bytes in use on the GPU, and by process; None where it refuses."""
    memory = asked.memory()
    processes = asked.ask("nvmlDeviceGetComputeRunningProcesses")
    return {
        "stage": stage,
        "gpu": None if memory is None else memory.used,
        "processes": None if processes is None else [[one.pid, one.usedGpuMemory] for one in processes],
        "me": os.getpid(),
    }


def _lines(run: Run, asked: Asked) -> Iterator[dict[str, Any]]:
    yield reading("before", asked)
    import torch  # noqa: PLC0415 - what it holds comes after what was there before

    if torch.version.cuda is None:
        raise RuntimeError(f"torch {torch.__version__} was built without CUDA")
    torch.cuda.init()  # type: ignore[no-untyped-call]
    _, total = torch.cuda.mem_get_info()
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    yield {
        "about": {
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": cudnn,
            "total_memory": total,
        }
    }
    from vggprof.profiler.calibration_work import work  # noqa: PLC0415

    for stage in work(run, "cuda"):
        torch.cuda.synchronize()
        free, total = torch.cuda.mem_get_info()
        held = {"runtime_used": total - free, "reserved": torch.cuda.memory_reserved()}
        yield {**reading(stage, asked), **held}


if __name__ == "__main__":
    main(*sys.argv[1:])
