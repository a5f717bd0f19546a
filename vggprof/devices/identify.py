"""Which device of the catalogue a GPU of this machine is, or one made of what NVML says of it."""

import re
from dataclasses import replace
from typing import Final

from vggprof.devices.capability import all_limits, nearest_known
from vggprof.devices.catalogue import devices
from vggprof.devices.device import Device
from vggprof.devices.lookup import devices_named
from vggprof.devices.nvml import Asked, MemoryInfo
from vggprof.devices.ranges import Range
from vggprof.units import GIB, MIB

_SOURCE: Final = "NVML on this machine"

# A card whose memory is further from the catalogue's than this is another card of the same name.
_SAME_CARD: Final = 0.15

# Where NVML does not tell the capability: the lowest that today's PyTorch runs on.
_UNTOLD_CAPABILITY: Final = (7, 5)

# MIG divides a GPU's memory into eighths and its SMs into sevenths (NVIDIA Multi-Instance GPU User Guide).
_MEMORY_SLICES: Final = 8
_COMPUTE_SLICES: Final = 7
_PROFILE: Final = re.compile(r"(\d+)g\.(\d+)gb")  # 1g.5gb: one compute slice, 5 GB


def identify(asked: Asked, name: str, memory: MemoryInfo | None) -> tuple[Device, bool]:
    """Return the catalogue's device of that name and memory, and True; else one NVML describes, and False.

    Its usable memory is what the driver says here, where it says.
    """
    capability = asked.ask("nvmlDeviceGetCudaComputeCapability")
    same = [one for one in devices_named(name) if capability is None or one.capability == tuple(capability)]
    if not same:
        return _with_memory(_described(asked, name, memory), memory), False
    if memory is None:
        return same[0], True
    device = min(same, key=lambda one: abs(one.memory_bytes - memory.total))
    if abs(device.memory_bytes - memory.total) > _SAME_CARD * device.memory_bytes:
        note = f"this one has {memory.total / GIB:.1f} GiB, unlike the {device.name} of the catalogue"
        device = replace(device, memory_bytes=memory.total, inline_ecc=False, totals=(), note=note)
    return _with_memory(device, memory), True


def slice_of(asked: Asked, parent: Device, name: str, memory: MemoryInfo | None) -> Device:
    """Return the part of *parent* that a MIG slice is, by its attributes, else by its name (``1g.5gb``).

    L2 and bandwidth come with the memory, an eighth or several; the clocks are the parent's.
    """
    said, profile = asked.ask("nvmlDeviceGetAttributes"), _PROFILE.search(name)
    if said is not None:
        sm_count, size = int(said.multiprocessorCount), int(said.memorySizeMB) * MIB
    else:
        compute, gib = (int(profile[1]), int(profile[2])) if profile else (1, 0)
        sm_count = max(1, parent.sm_count * compute // _COMPUTE_SLICES)
        size = memory.total if memory else gib * GIB or parent.memory_bytes // _MEMORY_SLICES
    eighths = max(1, round(_MEMORY_SLICES * size / parent.memory_bytes))
    part = replace(
        parent,
        name=f"{parent.name} MIG {profile[0] if profile else 'slice'}",
        torch_names=(name,),
        sm_count=sm_count,
        l2_bytes=parent.l2_bytes * eighths // _MEMORY_SLICES,
        bus_bits=max(1, parent.bus_bits * eighths // _MEMORY_SLICES),
        bandwidth_bytes_per_s=parent.bandwidth_bytes_per_s * eighths // _MEMORY_SLICES,
        memory_bytes=size,
        # 9,728 of 10,240 MiB in a 1g.10gb of an A100: deviceQuery published by a computing centre.
        usable=Range(size * 93 // 100, size * 95 // 100, size),
        usable_source="rule: 95 % of the slice's nominal memory",
        totals=(),
        plain=False,
        note=f"a slice of a {parent.name}" + ("" if said else "; its SMs follow from its name"),
    )
    return _with_memory(part, memory)


def _with_memory(device: Device, memory: MemoryInfo | None) -> Device:
    return device if memory is None else device.with_usable(Range.exact(memory.usable), _SOURCE)


def _described(asked: Asked, name: str, memory: MemoryInfo | None) -> Device:
    """Return a device nobody has catalogued, from what NVML says; the rest is the nearest known one's."""
    said = asked.ask("nvmlDeviceGetCudaComputeCapability")
    capability = nearest_known(tuple(said)) if said else _UNTOLD_CAPABILITY
    cores = asked.ask("nvmlDeviceGetNumGpuCores")
    sm_count = cores // all_limits()[capability].cores_per_sm if cores else None
    near = min(devices(), key=lambda one: _distance(one, capability, sm_count, memory))
    bus_bits = asked.ask("nvmlDeviceGetMemoryBusWidth") or near.bus_bits
    memory_khz = _max_khz(asked, "NVML_CLOCK_MEM") or near.memory_khz
    return replace(
        near,
        name=name,
        torch_names=(name,),
        capability=capability,
        sm_count=sm_count or near.sm_count,
        base_khz=None,
        boost_khz=_max_khz(asked, "NVML_CLOCK_SM") or near.boost_khz,
        tensor_khz=None,
        bus_bits=bus_bits,
        memory_khz=memory_khz,
        bandwidth_bytes_per_s=2 * memory_khz * 1000 * bus_bits // 8,
        memory_bytes=memory.total if memory else near.memory_bytes,
        inline_ecc=False,
        totals=(),
        plain=False,
        source=_SOURCE,
        note=f"not in the catalogue; L2 and what the driver does not say are those of the {near.name}",
    )


def _distance(
    one: Device, capability: tuple[int, int], sm_count: int | None, memory: MemoryInfo | None
) -> tuple[int, ...]:
    """Return how unlike *one* is: first in capability, then in SMs, then in memory."""
    return (
        abs(one.capability[0] - capability[0]),
        abs(one.capability[1] - capability[1]),
        abs(one.sm_count - (sm_count or one.sm_count)),
        abs(one.memory_bytes - (memory.total if memory else one.memory_bytes)),
    )


def _max_khz(asked: Asked, which: str) -> int | None:
    """Return the highest clock that NVML knows of that kind."""
    mhz = asked.ask("nvmlDeviceGetMaxClockInfo", getattr(asked.library, which))
    return 1000 * int(mhz) if mhz else None
