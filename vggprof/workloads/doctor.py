"""Will it run here: the GPU, its driver, torch and cuDNN, and what a training takes of what is free."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from vggprof.devices import GpuHere, Survey, visible_gpus
from vggprof.memory.report import CardReport, MemoryReport
from vggprof.memory.verdict import Status
from vggprof.memory.workspaces.targets import Choice
from vggprof.trace import Optimizer, Setup

Memory: TypeAlias = Callable[[str, Setup], MemoryReport]

_CUDA = re.compile(r"^cuda\b[^=\n]*=\s*['\"](\d+)\.(\d+)", re.MULTILINE)
_VERSION = re.compile(r"^__version__\b[^=\n]*=\s*['\"]([^'\"]+)", re.MULTILINE)
# CUDA 13.0 release notes: Maxwell, Pascal and Volta are no longer supported.
_FIRST_WITHOUT_OLD_GPUS, _OLDEST_OF_CUDA_13 = 13, (7, 5)


@dataclass(frozen=True, slots=True)
class Workload:
    """A training that one may want to run."""

    name: str
    arch: str
    setup: Setup


# The script takes gradients without an optimizer; plain SGD holds nothing besides them either.
WORKLOADS = (
    Workload("the notebook", "vgg11-d2l", Setup(batch=32, optimizer=Optimizer.SGD)),
    Workload("the timing script", "vgg16", Setup(batch=32, optimizer=Optimizer.SGD)),
)


@dataclass(frozen=True, slots=True)
class Software:
    """What is installed here; None where it is not."""

    torch: str | None
    torch_cuda: tuple[int, int] | None  # that torch was built for; None for a build without it
    cudnn: str | None  # the one that predictions ask
    available_bytes: int | None  # memory of the machine; None where the system does not say


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a workload runs here."""

    workload: Workload
    report: MemoryReport

    @property
    def card(self) -> CardReport | None:
        """What it comes to on the GPU of this machine; None where there is none."""
        return self.report.single

    @property
    def smallest(self) -> CardReport | None:
        """The smallest of the cards asked about that it fits."""
        fitting = (card for card in self.report.cards if card.prediction.status is Status.FITS)
        return next(fitting, None)

    @property
    def fits(self) -> bool:
        """Whether it fits the GPU of this machine."""
        return self.card is not None and self.smallest is not None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is here, what is wrong with it, and which workloads run."""

    survey: Survey
    software: Software
    troubles: tuple[str, ...]  # each keeps torch from the GPU
    answers: tuple[Answer, ...]

    @property
    def gpu_usable(self) -> bool:
        """Whether torch can use a GPU here, as far as can be told without trying."""
        return not self.troubles


def diagnose(survey: Survey, cudnn: Choice, more: Sequence[tuple[str, Setup]], memory: Memory) -> Diagnosis:
    """Return what runs here of the known workloads and of *more*: pairs of an ARCH and its setup."""
    software = _software(cudnn)
    workloads = (*WORKLOADS, *(Workload(arch, arch, setup) for arch, setup in more))
    return Diagnosis(
        survey=survey,
        software=software,
        troubles=tuple(_troubles(survey, software, os.environ.get("CUDA_VISIBLE_DEVICES"))),
        answers=tuple(Answer(each, memory(each.arch, each.setup)) for each in workloads),
    )


def _software(cudnn: Choice) -> Software:
    """Return what is installed, without importing torch, which takes seconds."""
    found = find_spec("torch")
    places = [] if found is None else list(found.submodule_search_locations or ())
    file = Path(places[0], "version.py") if places else None
    text = file.read_text(encoding="utf-8") if file is not None and file.is_file() else ""
    version, cuda = _VERSION.search(text), _CUDA.search(text)
    return Software(
        torch=version and version[1],
        torch_cuda=cuda and (int(cuda[1]), int(cuda[2])),
        cudnn=None if cudnn.library is None else cudnn.library.version,
        available_bytes=_available_bytes(),
    )


def _troubles(survey: Survey, software: Software, selection: str | None) -> Iterator[str]:
    visible = visible_gpus(survey.gpus, selection)
    if not survey.gpus:
        yield f"no GPU: {survey.reason or 'none is listed'}"
    elif not visible:
        yield f"CUDA_VISIBLE_DEVICES={selection!r} hides all {len(survey.gpus)} GPUs"
    if software.torch is None:
        yield "torch is not installed"
    elif software.torch_cuda is None:
        yield f"torch {software.torch} was built without CUDA; pytorch.org shows how to install one with it"
    elif visible:
        yield from _mismatches(visible[0], survey.cuda_version, software.torch_cuda)


def _mismatches(gpu: GpuHere, driver: tuple[int, int] | None, torch: tuple[int, int]) -> Iterator[str]:
    """Yield why this GPU, or its driver, cannot run a torch of that CUDA.

    Within a major version of CUDA a driver runs newer minor ones (CUDA minor version compatibility).
    """
    if driver is not None and driver[0] < torch[0]:
        yield (
            f"the driver runs CUDA up to {driver[0]}.{driver[1]}, torch was built for {torch[0]}.{torch[1]}: "
            "update the driver, or install a torch for its CUDA"
        )
    if torch[0] >= _FIRST_WITHOUT_OLD_GPUS and gpu.device.capability < _OLDEST_OF_CUDA_13:
        yield (
            f"{gpu.name} has compute capability {gpu.device.capability_text}, and CUDA {torch[0]} knows none "
            "below 7.5: install a torch for CUDA 12"
        )


def _available_bytes() -> int | None:
    """Return the memory that Linux could give to programs; None elsewhere."""
    file = Path("/proc/meminfo")
    if sys.platform != "linux" or not file.is_file():
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB", file.read_text(), re.MULTILINE)
    return found and int(found[1]) * 1024
