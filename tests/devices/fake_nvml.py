"""A stand-in for libnvidia-ml: the C functions that nvidia-ml-py calls, answering from plain values.

nvidia-ml-py itself is real: it makes the ctypes structures and turns return codes into its errors.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pynvml

MIB = 2**20
REFUSED = pynvml.NVML_ERROR_NOT_SUPPORTED
FORBIDDEN = pynvml.NVML_ERROR_NO_PERMISSION
NO_FIGURE = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE

Answer = Any  # a value, or a `Code` to refuse with
Ref = Any  # what ctypes passes: a handle, a buffer, a reference to a structure


class Code(int):
    """A return code instead of an answer."""


NOT_SUPPORTED = Code(REFUSED)


@dataclass
class FakeGpu:
    """What the driver says of one GPU or slice; a `Code` in place of a value is a refusal."""

    name: Answer = "NVIDIA GeForce RTX 3060"
    capability: Answer = (8, 6)
    total: int = 12288 * MIB
    reserved: int = 378 * MIB
    used: int = 0
    memory: Code | None = None  # refuses both memory queries
    memory_v2: Code | None = None
    uuid: Answer = "GPU-1"
    compute: Answer = ()  # (pid, bytes)
    graphics: Answer = ()
    cores: Answer = 3584
    clocks: Answer = (2115, 7501)  # SM, memory, MHz
    bus: Answer = 192
    mig: Answer = NOT_SUPPORTED
    slices: tuple["FakeGpu | Code", ...] = ()
    attributes: Answer = NOT_SUPPORTED  # (SMs, MB)
    instance: Answer = NOT_SUPPORTED
    handle: Code | None = None  # refuses to be reached at all
    structure: Any = field(default_factory=pynvml.struct_c_nvmlDevice_t)


@dataclass
class FakeDriver:
    """The library: an attribute a C function, as ctypes shows it; those in *missing* are not exported."""

    gpus: tuple[FakeGpu, ...] = ()
    init: int = 0
    version: str = "580.95.05"
    cuda: int = 13000
    names: dict[int, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    open: int = 0  # initialised and not shut down

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name in self.missing or not name.startswith("nvml"):
            raise AttributeError(name)
        try:
            function: Callable[..., int] = getattr(type(self), f"_{name}").__get__(self)
        except AttributeError:
            return lambda *_: int(REFUSED)
        return function

    def _nvmlInitWithFlags(self, _flags: object) -> int:  # noqa: N802
        self.open += self.init == 0
        return self.init

    def _nvmlShutdown(self) -> int:  # noqa: N802
        self.open -= 1
        return 0

    def _nvmlDeviceGetCount_v2(self, count: Ref) -> int:  # noqa: N802
        return _put(count, len(self.gpus))

    def _nvmlSystemGetDriverVersion(self, buffer: Ref, _size: object) -> int:  # noqa: N802
        return _write(buffer, self.version)

    def _nvmlSystemGetCudaDriverVersion_v2(self, version: Ref) -> int:  # noqa: N802
        return _put(version, self.cuda)

    def _nvmlSystemGetProcessName(self, pid: Ref, buffer: Ref, _size: object) -> int:  # noqa: N802
        name = self.names.get(pid.value)
        return pynvml.NVML_ERROR_NOT_FOUND if name is None else _write(buffer, name)

    def _nvmlDeviceGetHandleByIndex_v2(self, index: Ref, handle: Ref) -> int:  # noqa: N802
        return _point(handle, self.gpus[index.value])

    def _nvmlDeviceGetHandleByUUID(self, uuid: Ref, handle: Ref) -> int:  # noqa: N802
        for gpu in self.gpus:
            for one in (gpu, *gpu.slices):
                if isinstance(one, FakeGpu) and one.uuid == uuid.value.decode():
                    return _point(handle, one)
        return int(pynvml.NVML_ERROR_NOT_FOUND)

    def _nvmlDeviceGetName(self, handle: Ref, buffer: Ref, _size: object) -> int:  # noqa: N802
        return _write(buffer, self._at(handle).name)

    def _nvmlDeviceGetUUID(self, handle: Ref, buffer: Ref, _size: object) -> int:  # noqa: N802
        return _write(buffer, self._at(handle).uuid)

    def _nvmlDeviceGetCudaComputeCapability(self, handle: Ref, major: Ref, minor: Ref) -> int:  # noqa: N802
        return _put_both(self._at(handle).capability, major, minor)

    def _nvmlDeviceGetMemoryInfo_v2(self, handle: Ref, info: Ref) -> int:  # noqa: N802
        gpu = self._at(handle)
        if (code := gpu.memory or gpu.memory_v2) is not None:
            return code
        info._obj.total, info._obj.reserved, info._obj.used = gpu.total, gpu.reserved, gpu.used
        info._obj.free = gpu.total - gpu.reserved - gpu.used
        return 0

    def _nvmlDeviceGetMemoryInfo(self, handle: Ref, info: Ref) -> int:  # noqa: N802
        gpu = self._at(handle)
        if gpu.memory is not None:
            return gpu.memory
        info._obj.total, info._obj.used, info._obj.free = gpu.total, gpu.used, gpu.total - gpu.used
        return 0

    def _nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Ref, count: Ref, array: Ref) -> int:  # noqa: N802
        return _list(self._at(handle).compute, count, array)

    def _nvmlDeviceGetGraphicsRunningProcesses_v3(self, handle: Ref, count: Ref, array: Ref) -> int:  # noqa: N802
        return _list(self._at(handle).graphics, count, array)

    def _nvmlDeviceGetNumGpuCores(self, handle: Ref, cores: Ref) -> int:  # noqa: N802
        return _put(cores, self._at(handle).cores)

    def _nvmlDeviceGetMemoryBusWidth(self, handle: Ref, bits: Ref) -> int:  # noqa: N802
        return _put(bits, self._at(handle).bus)

    def _nvmlDeviceGetMaxClockInfo(self, handle: Ref, kind: Ref, clock: Ref) -> int:  # noqa: N802
        clocks = self._at(handle).clocks
        return (
            clocks if isinstance(clocks, Code) else _put(clock, clocks[kind.value == pynvml.NVML_CLOCK_MEM])
        )

    def _nvmlDeviceGetMigMode(self, handle: Ref, current: Ref, pending: Ref) -> int:  # noqa: N802
        return _put_both(self._at(handle).mig, current, pending)

    def _nvmlDeviceGetMaxMigDeviceCount(self, handle: Ref, count: Ref) -> int:  # noqa: N802
        return _put(count, 7)

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Ref, index: Ref, found: Ref) -> int:  # noqa: N802
        slices = self._at(handle).slices
        if index.value >= len(slices):
            return int(pynvml.NVML_ERROR_NOT_FOUND)
        one = slices[index.value]
        return one if isinstance(one, Code) else _point(found, one)

    def _nvmlDeviceGetAttributes_v2(self, handle: Ref, attributes: Ref) -> int:  # noqa: N802
        said = self._at(handle).attributes
        if isinstance(said, Code):
            return said
        attributes._obj.multiprocessorCount, attributes._obj.memorySizeMB = said
        return 0

    def _nvmlDeviceGetGpuInstanceId(self, handle: Ref, instance: Ref) -> int:  # noqa: N802
        return _put(instance, self._at(handle).instance)

    def _at(self, handle: Ref) -> FakeGpu:
        address = ctypes.addressof(handle.contents)
        everything = [one for gpu in self.gpus for one in (gpu, *gpu.slices) if isinstance(one, FakeGpu)]
        return next(one for one in everything if ctypes.addressof(one.structure) == address)


def _point(handle: Ref, gpu: FakeGpu) -> int:
    if gpu.handle is not None:
        return gpu.handle
    handle._obj.contents = gpu.structure
    return 0


def _put(target: Ref, value: Answer) -> int:
    if isinstance(value, Code):
        return value
    target._obj.value = value
    return 0


def _put_both(value: Answer, first: Ref, second: Ref) -> int:
    if isinstance(value, Code):
        return value
    first._obj.value, second._obj.value = value
    return 0


def _write(buffer: Ref, text: Answer) -> int:
    if isinstance(text, Code):
        return text
    buffer.value = text.encode()
    return 0


def _list(processes: Answer, count: Ref, array: Ref) -> int:
    if isinstance(processes, Code):
        return processes
    count._obj.value = len(processes)
    if array is None:
        return pynvml.NVML_ERROR_INSUFFICIENT_SIZE if processes else 0
    for slot, (pid, used) in zip(array, processes, strict=False):
        slot.pid, slot.usedGpuMemory = pid, used
    return 0
