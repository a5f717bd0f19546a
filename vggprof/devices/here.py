"""The GPUs of this machine: what they are, what is free on them, and who holds the rest."""

from dataclasses import dataclass, replace

from vggprof.devices.device import Device
from vggprof.devices.identify import identify, slice_of
from vggprof.devices.nvml import Asked, MemoryInfo, NvmlFailed, Session, session
from vggprof.errors import DeviceError, GpuUnavailable


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process on a GPU; None where the driver does not say, as in containers and under Windows."""

    pid: int
    used_bytes: int | None
    name: str | None


@dataclass(frozen=True, slots=True)
class MigSlice:
    """Which part of which GPU a MIG device is."""

    parent: str  # the GPU's name
    gpu_instance: int | None
    compute_instance: int | None


@dataclass(frozen=True, slots=True)
class GpuHere:
    """A GPU of this machine, or a MIG slice of one; None where the driver refuses to say."""

    device: Device  # usable memory and, for a slice, its share of the GPU are what the driver says
    in_catalogue: bool
    index: int  # of the GPU, in the order of the bus
    uuid: str | None
    name: str  # as the driver shows it
    total_bytes: int | None
    reserved_bytes: int | None  # the driver's own share of the total
    free_bytes: int | None
    used_bytes: int | None  # held by all processes together
    processes: tuple[GpuProcess, ...] | None
    mig: MigSlice | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """All that is here; ``reason`` says why there is no GPU, ``skipped`` which could not be asked."""

    gpus: tuple[GpuHere, ...]
    driver_version: str | None = None
    cuda_version: tuple[int, int] | None = None  # the newest that the driver can run
    reason: str | None = None
    skipped: tuple[str, ...] = ()


def survey() -> Survey:
    """Return the GPUs of this machine; never raises, an empty survey gives its reason."""
    try:
        with session() as nvml:
            return _survey(nvml)
    except NvmlFailed as failed:
        return Survey((), reason=str(failed))


def gpus_here() -> tuple[GpuHere, ...]:
    """Return the GPUs and MIG slices of this machine, in the order of the bus; none is an answer."""
    return survey().gpus


def demand_gpu(selection: str | None = None) -> GpuHere:
    """Return the first GPU of this machine that *selection* (``CUDA_VISIBLE_DEVICES``) lets through.

    Raises GpuUnavailable, with the reason, when there is none.
    """
    return the_gpu(survey(), selection)


def the_gpu(found: Survey, selection: str | None = None) -> GpuHere:
    """Return the first GPU of *found* that *selection* lets through; raises as `demand_gpu` does."""
    if not found.gpus:
        raise GpuUnavailable(f"no GPU is usable here: {found.reason or 'none is listed'}")
    chosen = visible_gpus(found.gpus, selection)
    if not chosen:
        raise GpuUnavailable(
            f"CUDA_VISIBLE_DEVICES={selection!r} hides all {len(found.gpus)} GPUs of this machine"
        )
    return chosen[0]


def visible_gpus(gpus: tuple[GpuHere, ...], selection: str | None) -> tuple[GpuHere, ...]:
    """Return those of *gpus* that CUDA shows under ``CUDA_VISIBLE_DEVICES=selection``; None shows all.

    Indices count GPUs in the order of the bus, as CUDA does under ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` (its
    default puts the fastest first). Like CUDA, it stops at the first entry that names nothing.
    """
    if selection is None:
        return gpus
    chosen: list[GpuHere] = []
    for entry in (part.strip() for part in selection.split(",")):
        named = [gpu for gpu in gpus if _named(entry, gpu)]
        if not named:
            break
        chosen += named[:1]
    return tuple(chosen)


def _named(entry: str, gpu: GpuHere) -> bool:
    if entry.isascii() and entry.isdigit():
        return gpu.index == int(entry)
    return entry.startswith(("GPU-", "MIG-")) and (gpu.uuid or "").startswith(entry)


def _survey(nvml: Session) -> Survey:
    gpus: list[GpuHere] = []
    skipped: list[str] = []
    for index in range(nvml.ask("nvmlDeviceGetCount") or 0):
        try:
            gpus += _gpu(nvml.gpu(index), index, skipped)
        except (NvmlFailed, DeviceError) as failed:  # the latter for figures that make no sense
            skipped.append(f"GPU {index}: {failed}")
    driver, cuda = nvml.ask("nvmlSystemGetDriverVersion"), nvml.ask("nvmlSystemGetCudaDriverVersion_v2")
    return Survey(
        gpus=tuple(gpus),
        driver_version=driver,
        cuda_version=(cuda // 1000, cuda % 1000 // 10) if cuda else None,
        reason=None if gpus else "; ".join(skipped) or "the driver lists no GPU",
        skipped=tuple(skipped),
    )


def _gpu(asked: Asked, index: int, skipped: list[str]) -> list[GpuHere]:
    """Return GPU *index*, or its slices where MIG divides it: then the whole cannot be used by anybody."""
    slices = asked.slices()
    if slices is None:
        memory = asked.memory()
        device, known = identify(asked, _name(asked), memory)
        return [_here(asked, index, device, memory=memory, known=known)]
    if not slices:
        skipped.append(f"GPU {index}: MIG is on and no slice has been made")
    parent, known = identify(asked, _name(asked), None)
    return [_slice(one, index, parent, known=known) for one in slices]


def _slice(asked: Asked, index: int, parent: Device, *, known: bool) -> GpuHere:
    memory = asked.memory()
    device = slice_of(asked, parent, _name(asked), memory)
    mig = MigSlice(
        parent.name, asked.ask("nvmlDeviceGetGpuInstanceId"), asked.ask("nvmlDeviceGetComputeInstanceId")
    )
    return replace(_here(asked, index, device, memory=memory, known=known), mig=mig)


def _here(asked: Asked, index: int, device: Device, *, memory: MemoryInfo | None, known: bool) -> GpuHere:
    return GpuHere(
        device=device,
        in_catalogue=known,
        index=index,
        uuid=asked.ask("nvmlDeviceGetUUID"),
        name=_name(asked),
        total_bytes=memory.total if memory else None,
        reserved_bytes=memory.reserved if memory else None,
        free_bytes=memory.free if memory else None,
        used_bytes=memory.used if memory else None,
        processes=_processes(asked),
    )


def _name(asked: Asked) -> str:
    return str(asked.ask("nvmlDeviceGetName") or "NVIDIA GPU")


def _processes(asked: Asked) -> tuple[GpuProcess, ...] | None:
    """Return who is on the GPU, each process once, the largest first; None when the driver does not say."""
    lists = [asked.ask(f"nvmlDeviceGet{kind}RunningProcesses") for kind in ("Compute", "Graphics")]
    if all(one is None for one in lists):
        return None
    by_pid: dict[int, int | None] = {}
    for process in (process for one in lists for process in one or ()):
        by_pid[process.pid] = max(
            (n for n in (by_pid.get(process.pid), process.usedGpuMemory) if n), default=None
        )
    return tuple(
        GpuProcess(pid, used, _process_name(asked, pid))
        for pid, used in sorted(by_pid.items(), key=lambda item: -(item[1] or 0))
    )


def _process_name(asked: Asked, pid: int) -> str | None:
    name = Session(asked.library).ask("nvmlSystemGetProcessName", pid)
    return str(name) if name else None
