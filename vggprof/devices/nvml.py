"""What NVML says, question by question, with its refusals told apart: the one place that talks to the driver.

NVML refuses single questions in many places: inside containers, for MIG parents, under Windows' display
driver model, on boards whose memory is the host's. A refusal is an answer here (None); only a GPU that is
lost, or a driver that cannot be asked at all, is an error, and it is `NvmlFailed`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

_REFUSALS: Final = (
    "NVML_ERROR_INVALID_ARGUMENT",
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_NO_PERMISSION",
    "NVML_ERROR_NOT_FOUND",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
    "NVML_ERROR_NO_DATA",
    "NVML_ERROR_NOT_READY",
    "NVML_ERROR_UNKNOWN",
)


class NvmlFailed(Exception):  # noqa: N818 - caught in this room, never seen outside
    """The driver, or one GPU, cannot be asked; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """The memory of a GPU or a slice in bytes; ``used`` is what processes hold, not the driver's share."""

    total: int
    reserved: int | None  # the driver's share; None on drivers before R510, whose total leaves it out
    free: int
    used: int

    @property
    def usable(self) -> int:
        """The total that torch sees."""
        return self.total - (self.reserved or 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to ask about, a GPU or a slice, and the library to ask."""

    library: Any  # the module pynvml
    handle: Any

    def ask(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever NVML returns
        """Return what *function* says of this GPU, None where it refuses; NvmlFailed for a lost GPU."""
        return _ask(self.library, function, self.handle, *arguments)

    def memory(self) -> MemoryInfo | None:
        """Return the memory: the newer query, which tells the driver's share, else the older one."""
        info = self.ask("nvmlDeviceGetMemoryInfo", self.library.nvmlMemory_v2)
        if info is not None:
            return MemoryInfo(int(info.total), int(info.reserved), int(info.free), int(info.used))
        info = self.ask("nvmlDeviceGetMemoryInfo")
        return None if info is None else MemoryInfo(int(info.total), None, int(info.free), int(info.used))

    def slices(self) -> tuple["Asked", ...] | None:
        """Return the MIG slices of this GPU; None when MIG is off or unknown here."""
        mode = self.ask("nvmlDeviceGetMigMode")
        if mode is None or mode[0] != self.library.NVML_DEVICE_MIG_ENABLE:
            return None
        count = self.ask("nvmlDeviceGetMaxMigDeviceCount") or 0
        handles = (self.ask("nvmlDeviceGetMigDeviceHandleByIndex", index) for index in range(count))
        return tuple(Asked(self.library, handle) for handle in handles if handle is not None)


@dataclass(frozen=True, slots=True)
class Session:
    """An open conversation with the driver."""

    library: Any

    def ask(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever NVML returns
        """Return what NVML's *function* says of the system, None where it refuses."""
        return _ask(self.library, function, *arguments)

    def gpu(self, index: int) -> Asked:
        """Return GPU *index* in the order of the bus; NvmlFailed when it cannot be reached."""
        handle = self.ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            raise NvmlFailed("the driver does not let this process see it")
        return Asked(self.library, handle)

    def gpu_named(self, uuid: str) -> Asked:
        """Return the GPU or MIG slice of that UUID; NvmlFailed when it cannot be reached."""
        handle = self.ask("nvmlDeviceGetHandleByUUID", uuid)
        if handle is None:
            raise NvmlFailed("the driver does not let this process see it")
        return Asked(self.library, handle)


@contextmanager
def session() -> Iterator[Session]:
    """Talk to the driver; NvmlFailed, with a reason for people, when there is none to talk to."""
    try:
        import pynvml  # noqa: PLC0415 - only here is it needed, and it may be missing
    except ImportError as error:
        raise NvmlFailed("nvidia-ml-py is not installed, so the driver cannot be asked") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NvmlFailed(_why(pynvml, error)) from error
    try:
        yield Session(pynvml)
    finally:
        _ask(pynvml, "nvmlShutdown")


def _ask(library: Any, function: str, *arguments: object) -> Any:  # noqa: ANN401
    call: Callable[..., Any] | None = getattr(library, function, None)
    if call is None:  # an older nvidia-ml-py
        return None
    try:
        return call(*arguments)
    except library.NVMLLibraryMismatchError:  # an older driver, asked for a newer version of the question
        return None
    except library.NVMLError as error:
        if error.value in (getattr(library, name, None) for name in _REFUSALS):
            return None
        raise NvmlFailed(_why(library, error)) from error


def _why(library: Any, error: Any) -> str:  # noqa: ANN401
    """Return in words why NVML failed, with the way out where there is one."""
    if error.value == library.NVML_ERROR_LIBRARY_NOT_FOUND:
        return "no NVIDIA driver is installed (its library libnvidia-ml is missing)"
    if error.value == library.NVML_ERROR_DRIVER_NOT_LOADED:
        return "the NVIDIA driver is not loaded, or there is no NVIDIA GPU"
    if error.value == library.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return "the NVIDIA driver was updated under the running kernel module; reboot"
    if error.value == library.NVML_ERROR_NO_PERMISSION:
        return "this process may not talk to the NVIDIA driver; in a container, start it with the GPU"
    return f"the NVIDIA driver answers: {error}"
