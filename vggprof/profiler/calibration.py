"""A calibration of the GPU that is here: each run in a process of its own, read stage by stage."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vggprof._version import __version__
from vggprof.devices.calibrations import Calibration, Method, Run
from vggprof.devices.context import loading_here
from vggprof.devices.here import GpuHere, survey, the_gpu
from vggprof.errors import GpuUnavailable
from vggprof.measurement import cudnn_release
from vggprof.profiler.readings import Row, measured_run

# Seconds for one run: a cold disk takes a minute to give torch and cuDNN.
TIME_LIMIT_S: Final = 300.0

_SAID: Final = {
    Run.TRAIN_FP32: "training in fp32",
    Run.TRAIN_AMP: "training under autocast",
    Run.INFER_FP32: "inference in fp32",
    Run.INFER_FP16: "inference in fp16",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the process of one run told."""

    about: Row
    rows: tuple[Row, ...]


def gpu_to_measure() -> tuple[GpuHere, str | None]:
    """Return the GPU of this machine that CUDA shows first, and its driver; GpuUnavailable without one."""
    found = survey()
    return the_gpu(found, os.environ.get("CUDA_VISIBLE_DEVICES")), found.driver_version


def calibrate(where: tuple[GpuHere, str | None], say: Callable[[str], None] = lambda _: None) -> Calibration:
    """Measure what processes hold outside PyTorch's allocator on the GPU, under the driver, of *where*.

    *say* hears what is going on. Takes four processes, one after the other. Raises GpuUnavailable where
    torch cannot use the GPU, or its driver or the others on it let nothing be measured.
    """
    gpu, driver = where
    told: dict[Run, Told] = {}
    for run in Run:
        say(f"{gpu.name}: measuring {_SAID[run]}")
        told[run] = tell(_run_process(run, gpu))
    return calibration_of(gpu, told, driver=driver, measured=_now())


def calibration_of(gpu: GpuHere, told: dict[Run, Told], *, driver: str | None, measured: str) -> Calibration:
    """Return the calibration that the processes of *gpu* told.

    Raises GpuUnavailable where only the whole GPU's figures are known and others hold some of it.
    """
    runs = [measured_run(run, one.rows) for run, one in told.items()]
    method = max((method for _, method, _ in runs), key=list(Method).index)
    alone = _all_alone([alone for _, _, alone in runs])
    if method is Method.RUNTIME and alone is False:
        raise GpuUnavailable(
            f"{gpu.name}: others are on it and the driver does not say what each holds; "
            "calibrate while it is idle"
        )
    about = next(iter(told.values())).about
    return Calibration(
        device=gpu.device.name,
        name=gpu.name,
        uuid=gpu.uuid,
        driver=driver,
        torch=about["torch"],
        cuda=about["cuda"],
        cudnn=None if about["cudnn"] is None else cudnn_release(about["cudnn"]),
        loading=loading_here(),
        usable_bytes=about["total_memory"],
        method=method,
        alone=alone,
        measured=measured,
        vggprof=__version__,
        runs=tuple(run for run, _, _ in runs),
    )


def tell(output: str) -> Told:
    """Return what a run's process wrote. Raises GpuUnavailable, with the reason, for one that failed."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    error = next((line["error"] for line in lines if "error" in line), None)
    if error is not None:
        raise GpuUnavailable(error)
    about: Any = next((line["about"] for line in lines if "about" in line), None)
    rows = tuple(line for line in lines if "stage" in line)
    if about is None or len(rows) < 2:
        raise GpuUnavailable("the process that measures said nothing")
    return Told(about, rows)


def _run_process(run: Run, gpu: GpuHere) -> str:
    selector = gpu.uuid or str(gpu.index)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "vggprof.profiler.calibration_process", run.value, selector],
            capture_output=True,
            text=True,
            env=environment(gpu, os.environ),
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GpuUnavailable(f"{gpu.name}: measuring took more than {TIME_LIMIT_S:g} s") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise GpuUnavailable(
            f"the process that measures ended with {done.returncode}: {words[-1] if words else 'no word'}"
        )
    return done.stdout


def environment(gpu: GpuHere, given: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """Return *given* so that torch sees *gpu* alone, with the allocator's own settings.

    An allocator without segments of its own (``backend:cudaMallocAsync``) could not be told from the rest.
    """
    kept = {key: value for key, value in given.items() if "ALLOC_CONF" not in key}
    if gpu.uuid is None:
        return kept | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(gpu.index)}
    return kept | {"CUDA_VISIBLE_DEVICES": gpu.uuid}


def _all_alone(seen: Sequence[bool | None]) -> bool | None:
    if False in seen:
        return False
    return None if None in seen else True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
