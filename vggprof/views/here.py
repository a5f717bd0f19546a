"""The GPUs of this machine as text: what each is, what is free on it, and who holds the rest."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from vggprof.units import format_bytes
from vggprof.views.json import Json

if TYPE_CHECKING:
    from vggprof.devices import GpuHere, GpuProcess, Survey

# Processes that the text names; JSON names all.
SHOWN_PROCESSES: Final = 5


def say_here(survey: "Survey") -> Iterator[str]:
    """Yield a sentence for each GPU of this machine, or one that says why there is none.

    ::

        Here: GPU 0, NVIDIA GeForce RTX 3060 (GeForce RTX 3060 12GB), 11.63 GiB usable; others hold 1.20 GiB:
          python (process 4242) 1.10 GiB, Xorg (process 77); 10.43 GiB are free
    """
    if not survey.gpus:
        yield f"No GPU here: {survey.reason}"
        return
    for gpu in survey.gpus:
        yield f"Here: GPU {gpu.index}, {_say_what(gpu)}, {_say_usable(gpu)}; {_say_held(gpu)}"
    for skipped in survey.skipped:
        yield f"Not asked: {skipped}"


def _say_what(gpu: "GpuHere") -> str:
    if gpu.mig is not None:
        return f"{gpu.name}, a MIG slice of {gpu.mig.parent}"
    if not gpu.in_catalogue:
        return f"{gpu.name} (not in the catalogue)"
    return gpu.name if gpu.name == gpu.device.name else f"{gpu.name} ({gpu.device.name})"


def _say_usable(gpu: "GpuHere") -> str:
    usable = gpu.device.usable
    about = "" if usable.is_exact else "about "
    return f"{about}{format_bytes(usable.likely)} usable"


def _say_held(gpu: "GpuHere") -> str:
    if gpu.used_bytes is None or gpu.free_bytes is None:
        return "the driver does not say what is held"
    free = f"{format_bytes(gpu.free_bytes)} {'is' if gpu.free_bytes < 2**10 else 'are'} free"
    if not gpu.used_bytes and not gpu.processes:
        return f"nobody holds any of it; {free}"
    who = _say_processes(gpu.processes)
    return f"others hold {format_bytes(gpu.used_bytes)}{who}; {free}"


def _say_processes(processes: "tuple[GpuProcess, ...] | None") -> str:
    if not processes:
        return ", the driver does not say who"
    more = len(processes) - SHOWN_PROCESSES
    names = ", ".join(_say_process(process) for process in processes[:SHOWN_PROCESSES])
    return f": {names}" + (f" and {more} more" if more > 0 else "")


def _say_process(process: "GpuProcess") -> str:
    name = f"{process.name} (process {process.pid})" if process.name else f"process {process.pid}"
    return name if process.used_bytes is None else f"{name} {format_bytes(process.used_bytes)}"


def here_json(survey: "Survey") -> Json:
    """Return the GPUs of this machine; ``reason`` says why there is none."""
    cuda = survey.cuda_version
    return {
        "driver_version": survey.driver_version,
        "cuda_version": None if cuda is None else f"{cuda[0]}.{cuda[1]}",
        "reason": survey.reason,
        "skipped": survey.skipped,
        "gpus": [_gpu_json(gpu) for gpu in survey.gpus],
    }


def _gpu_json(gpu: "GpuHere") -> Json:
    usable = gpu.device.usable
    return {
        "index": gpu.index,
        "name": gpu.name,
        "device": gpu.device.name,
        "in_catalogue": gpu.in_catalogue,
        "uuid": gpu.uuid,
        "capability": gpu.device.capability_text,
        "total_bytes": gpu.total_bytes,
        "reserved_bytes": gpu.reserved_bytes,
        "usable_bytes": usable.likely,
        "usable_bytes_low": usable.low,
        "usable_bytes_high": usable.high,
        "used_bytes": gpu.used_bytes,
        "free_bytes": gpu.free_bytes,
        "processes": None if gpu.processes is None else [asdict(process) for process in gpu.processes],
        "mig": None if gpu.mig is None else asdict(gpu.mig),
    }
