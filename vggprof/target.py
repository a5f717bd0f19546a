"""Where a training is to run: the GPU or GPUs, and the software, as a user names them."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vggprof.devices import (
    Device,
    Range,
    custom_device,
    ladder,
    load_device,
    names_a_file,
    survey,
    visible_gpus,
)
from vggprof.devices.calibration_files import remembered
from vggprof.devices.calibrations import SOURCE, Wanted, choose_calibration
from vggprof.devices.context import loading_here
from vggprof.devices.here import the_gpu
from vggprof.devices.lookup import find_with_others
from vggprof.errors import UsageError
from vggprof.memory.allocator import AllocatorConfig, allocator_config_from, parse_allocator_config
from vggprof.memory.forecast import Card, Software
from vggprof.memory.workspaces.blas import BlasSettings
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.libraries import find_libraries
from vggprof.memory.workspaces.packages import installed_version
from vggprof.memory.workspaces.targets import choose
from vggprof.units import parse_bytes

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.\w+)*(?:\+cu(\d{2})(\d+))?.*")

# What `pip install torch` brings on Linux since 2.11.
_CUDA = (13, 0)
_TORCH = "2.15"


@dataclass(frozen=True, slots=True)
class Target:
    """Where and with what a training runs; what is None is what is here.

    *gpu* is a name, a file, or ``auto`` for the GPU of this machine; *gpu_memory* replaces a card's memory,
    or stands for a card of that size. *torch* is a release (``2.11``), *cudnn* a version (``9.19``),
    *allocator* what PYTORCH_ALLOC_CONF would say.
    """

    gpu: str | None = None
    gpu_memory: str | None = None
    torch: str | None = None
    cudnn: str | None = None
    allocator: str | None = None
    tf32: bool = True
    deterministic: bool = False
    benchmark: bool = False

    def cards(self) -> tuple[Card, ...]:
        """Return the card that is meant; without one, and without a GPU here, a ladder of common ones.

        Raises DeviceError for an unknown GPU or a senseless size, GpuUnavailable for ``auto`` without a GPU.
        """
        if self.gpu is not None and names_a_file(self.gpu):  # it says itself what is to be known
            return (Card(_sized(load_device(self.gpu), self._memory())),)
        if self.gpu is not None and self.gpu != "auto":
            return self._calibrated([_named(self.gpu)])
        if self.gpu is None and self.gpu_memory is not None:
            return (Card(_sized(None, self._memory())),)
        found, selection = survey(), os.environ.get("CUDA_VISIBLE_DEVICES")
        if self.gpu is None and not visible_gpus(found.gpus, selection):
            return self._calibrated(list(map(Card, ladder())))
        here = the_gpu(found, selection)
        card = Card(here.device, held_by_others_bytes=here.used_bytes or 0)
        return self._calibrated([card], here.uuid, found.driver_version)

    def software(self, environment: Mapping[str, str] = os.environ) -> Software:
        """Return what the training runs with. Raises UsageError for what makes no sense."""
        installed = installed_version("torch") or _TORCH
        torch, cuda = _release(self.torch or installed)
        libraries = find_libraries()
        named = self.torch if self.cudnn is None else None
        return Software(
            torch=torch,
            cuda=cuda,
            cudnn=choose(libraries, cudnn=self.cudnn, torch=named),
            settings=self._settings(),
            allocator=self._allocator(environment, torch),
            blas=BlasSettings.from_environment(environment),
        )

    def _calibrated(
        self, cards: Sequence[Card], uuid: str | None = None, driver: str | None = None
    ) -> tuple[Card, ...]:
        """Return *cards* with what was calibrated on such GPUs with this software, and the memory asked for.

        *driver* is None for a GPU that is not here: then whichever it was measured with. Raises
        FileFormatError for a calibration that is damaged.
        """
        known = remembered()
        torch = self.torch or installed_version("torch") or _TORCH
        made = []
        for card in cards:
            device = card.device
            wanted = Wanted(device.name, torch, loading_here(), uuid=uuid, driver=driver, cudnn=self.cudnn)
            calibration, note = choose_calibration(known, wanted)
            if calibration is not None:
                device = device.with_usable(Range.exact(calibration.usable_bytes), SOURCE)
            device = _sized(device, self._memory())
            notes = card.notes if note is None else (*card.notes, note)
            made.append(replace(card, device=device, calibration=calibration, notes=notes))
        return tuple(made)

    def _settings(self) -> CudnnSettings:
        return CudnnSettings(allow_tf32=self.tf32, deterministic=self.deterministic, benchmark=self.benchmark)

    def _memory(self) -> int | None:
        return None if self.gpu_memory is None else parse_bytes(self.gpu_memory)

    def _allocator(self, environment: Mapping[str, str], torch: tuple[int, int]) -> AllocatorConfig:
        if self.allocator is None:
            return allocator_config_from(environment, torch)
        return parse_allocator_config(self.allocator, torch, source="the allocator settings")


def _named(gpu: str) -> Card:
    """Return the card of that name, with a note where the name fits others too."""
    device, others = find_with_others(gpu)
    if not others:
        return Card(device)
    names = ", ".join(other.name for other in others)
    return Card(device, notes=(f"{gpu} is taken for the {device.name}; it could also be: {names}.",))


def _sized(device: Device | None, memory_bytes: int | None) -> Device:
    if memory_bytes is not None:
        return custom_device(memory_bytes, device)
    assert device is not None
    return device


def _release(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return torch's release and the CUDA it was built for: ``2.11``, ``2.15.0+cu132``."""
    match = _RELEASE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a release of torch; write it like 2.11")
    major, minor, cuda_major, cuda_minor = match.groups()
    cuda = _CUDA if cuda_major is None else (int(cuda_major), int(cuda_minor))
    return (int(major), int(minor)), cuda
