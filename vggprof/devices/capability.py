"""What a compute capability fixes for every GPU that has it: the limits of an SM, its lanes, its rates."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from vggprof.errors import DeviceError

Capability = tuple[int, int]  # (major, minor): (8, 6)

_TABLE: Final = Path(__file__).with_name("capabilities.csv")


@dataclass(frozen=True, slots=True)
class CapabilityLimits:
    """One row of the CUDA programming guide's technical specifications, with what NVIDIA's headers add.

    Whatever the capability, a warp has 32 threads, a block at most 1,024 threads, and 49,152 bytes of
    shared memory unless it opts in.
    """

    capability: Capability
    architecture: str
    cores_per_sm: int  # fp32 lanes
    blocks_per_sm: int  # resident thread blocks (CTAs)
    threads_per_sm: int  # resident threads
    shared_bytes_per_sm: int
    shared_optin_bytes_per_block: int
    shared_reserved_bytes: int  # what the driver keeps of each block's shared memory
    registers_per_sm: int  # 32-bit
    registers_per_block: int
    # fp16 to fp32 rate outside tensor cores; None: no such unit, or not known.
    fp16_vector_ratio: tuple[int, int] | None
    source: str


def capability_of(text: str) -> Capability:
    """Return the capability that *text* names, ``"8.6"``; DeviceError when it is not written so."""
    major, dot, minor = text.strip().partition(".")
    if not (dot and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise DeviceError(f"{text!r} is not a compute capability; write it like 8.6")
    return int(major), int(minor)


@cache
def all_limits() -> MappingProxyType[Capability, CapabilityLimits]:
    """Return the limits of every known capability, 3.0 to 12.1, in order."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        rows = [_limits(row) for row in csv.DictReader(file)]
    return MappingProxyType({row.capability: row for row in rows})


def limits_of(capability: Capability) -> CapabilityLimits:
    """Return the limits of *capability*; DeviceError when it is not known."""
    known = all_limits()
    if capability not in known:
        raise DeviceError(
            f"unknown compute capability {_text(capability)}; known: {', '.join(map(_text, known))}"
        )
    return known[capability]


def nearest_known(capability: Capability) -> Capability:
    """Return *capability*, or the highest known one below it (the lowest there is when all are above).

    A newer GPU runs code built for an older capability of its family, so this is the closest description.
    """
    known = tuple(all_limits())
    return max((one for one in known if one <= capability), default=known[0])


def _text(capability: Capability) -> str:
    return f"{capability[0]}.{capability[1]}"


def _limits(row: dict[str, str]) -> CapabilityLimits:
    numerator, denominator = row.pop("fp16_vector_numerator"), row.pop("fp16_vector_denominator")
    return CapabilityLimits(
        capability=capability_of(row["capability"]),
        architecture=row["architecture"],
        cores_per_sm=int(row["cores_per_sm"]),
        blocks_per_sm=int(row["blocks_per_sm"]),
        threads_per_sm=int(row["threads_per_sm"]),
        shared_bytes_per_sm=int(row["shared_bytes_per_sm"]),
        shared_optin_bytes_per_block=int(row["shared_optin_bytes_per_block"]),
        shared_reserved_bytes=int(row["shared_reserved_bytes"]),
        registers_per_sm=int(row["registers_per_sm"]),
        registers_per_block=int(row["registers_per_block"]),
        fp16_vector_ratio=(int(numerator), int(denominator)) if numerator else None,
        source=row["source"],
    )
