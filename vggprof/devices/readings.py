"""What a GPU does at this moment, as NVML says it: memory, clocks, heat, power, and what holds it back."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from vggprof.devices.nvml import Asked, NvmlFailed, Session, session

# Reasons for a lower clock that slow work down, by the constant's name in nvml.h ("Clock Throttle Reasons");
# an idle GPU, clocks that were asked for and the like are left out.
_REASONS = {
    "sw_power_cap": "nvmlClocksThrottleReasonSwPowerCap",
    "hw_slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "sync_boost": "nvmlClocksThrottleReasonSyncBoost",
    "sw_thermal_slowdown": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "hw_thermal_slowdown": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "hw_power_brake_slowdown": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a GPU; None where the driver refuses to say."""

    used_bytes: int | None  # by all processes
    process_bytes: int | None  # by the one that was asked for
    sm_clock_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    throttle_reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU that can be read again and again."""

    asked: Asked
    driver_version: str | None

    def read(self, pid: int) -> Reading | None:
        """Return what it says now, with the memory of process *pid*; None where it cannot be reached."""
        try:
            return self._read(pid)
        except NvmlFailed:
            return None

    def _read(self, pid: int) -> Reading:
        asked, nvml = self.asked, self.asked.library
        memory = asked.memory()
        milliwatts = asked.ask("nvmlDeviceGetPowerUsage")
        return Reading(
            used_bytes=memory.used if memory else None,
            process_bytes=_held_by(pid, asked),
            sm_clock_mhz=asked.ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            temperature_c=asked.ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            power_w=None if milliwatts is None else milliwatts / 1000,
            throttle_reasons=_reasons(asked),
        )


@contextmanager
def gpu_with_uuid(uuid: str) -> Iterator[Gpu | None]:
    """Open the GPU or MIG slice of *uuid* for reading; None where NVML cannot be asked.

    It is the number as CUDA has it, before which NVML puts ``GPU-`` or ``MIG-``.
    """
    with ExitStack() as stack:
        stack.enter_context(suppress(NvmlFailed))  # a driver that does not even say goodbye
        try:
            gpu = _named(uuid, stack.enter_context(session()))
        except NvmlFailed:
            gpu = None
        yield gpu


def _named(uuid: str, nvml: Session) -> Gpu | None:
    handles = (nvml.ask("nvmlDeviceGetHandleByUUID", f"{kind}-{uuid}") for kind in ("GPU", "MIG"))
    handle = next((found for found in handles if found is not None), None)
    driver = nvml.ask("nvmlSystemGetDriverVersion")
    return None if handle is None else Gpu(Asked(nvml.library, handle), driver)


def _held_by(pid: int, asked: Asked) -> int | None:
    """Return what process *pid*, which is on the GPU, holds there; None where NVML does not say.

    In a container it may be listed by its number outside; when it is the only one it is known all the same.
    """
    held = {one.pid: one.usedGpuMemory for one in asked.ask("nvmlDeviceGetComputeRunningProcesses") or ()}
    if len(held) == 1:
        (pid,) = held
    return held.get(pid)


def _reasons(asked: Asked) -> tuple[str, ...]:
    bits = asked.ask("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
    return tuple(name for name, constant in _REASONS.items() if bits & getattr(asked.library, constant, 0))
