"""The parts of a recorder's rows as values, and what they mean for a measurement."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vggprof.errors import FileFormatError
from vggprof.measurement.decode import value_of
from vggprof.measurement.values import AllocatorEvent, Conditions, Environment, MemoryMark
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Setup
from vggprof.trace.setup import word
from vggprof.units import GIB

_MARK = re.compile(r"([a-z]+)(\d*)")
_ACTIONS = {
    "a": "alloc",
    "f": "free_completed",
    "s": "segment_alloc",
    "r": "segment_free",
    "o": "oom",
}
_DTYPES: Mapping[str, dict[str, Any]] = {
    "fp32": {},
    "amp_fp16": {"amp": Amp.FP16},
    "amp_bf16": {"amp": Amp.BF16},
    "infer_fp32": {"mode": Mode.INFER},
    "infer_fp16": {"mode": Mode.INFER, "dtype": Dtype.FP16},
}
_LAYOUTS = {"nchw": Layout.CONTIGUOUS, "nhwc": Layout.CHANNELS_LAST}
# Built without the heads that only training has; torchvision's own keywords.
_BARE = ("googlenet", "inception_v3")


@dataclass(frozen=True, slots=True)
class About:
    """What a file was recorded on."""

    gpu: str
    total_memory: int
    capability: tuple[int, int]
    sm: int
    torch: str
    python: str
    cuda: str | None = None
    cudnn: int | None = None
    l2: int | None = None
    tf32_conv: bool = True
    tf32_matmul: bool = False
    env: tuple[tuple[str, str], ...] = ()


def about_of(said: object, where: str) -> About:
    """Return what the first row says, whose variables of the environment are an object."""
    if isinstance(said, dict) and isinstance(said.get("env"), dict):
        said = {**said, "env": [list(pair) for pair in said["env"].items()]}
    return value_of(About, said, where)


def environment(about: About) -> Environment:
    """Return *about* as a measurement has it."""
    return Environment(
        device_name=about.gpu,
        torch=about.torch,
        python=about.python,
        platform="",
        vggprof="",
        threads=None,
        cuda=about.cuda,
        cudnn=about.cudnn,
        capability=about.capability,
        sm_count=about.sm,
        total_memory_bytes=about.total_memory,
        variables=about.env,
    )


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration; a batch of 0 is searched for."""

    net: str
    batch: int
    dtype: str
    layout: str
    optimizer: str
    benchmark: bool
    hw: int
    capacity_gib: float

    def __post_init__(self) -> None:
        for said, known in ((self.dtype, _DTYPES), (self.layout, _LAYOUTS)):
            if said not in known:
                raise FileFormatError(f"{said!r:.40} is none of {', '.join(known)}")

    def conditions(self, about: About, batch: int) -> Conditions:
        """Return what was asked for on that machine, at *batch*."""
        bare = ",aux_logits=False,init_weights=False" if self.net in _BARE else ""
        return Conditions(
            arch=f"torchvision.models:{self.net}@input=3x{self.hw}x{self.hw}{bare}",
            setup=Setup(
                batch=batch,
                optimizer=word(Optimizer, self.optimizer),
                layout=_LAYOUTS[self.layout],
                **_DTYPES[self.dtype],
            ),
            device="cuda",
            tf32=about.tf32_conv,
            benchmark=self.benchmark,
            memory_limit_bytes=int(self.capacity_gib * GIB) or None,
        )


@dataclass(frozen=True, slots=True)
class RecordedMark:
    """What was held at one mark."""

    allocated: int
    reserved: int
    peak_allocated: int
    peak_reserved: int


def mark_of(name: str, said: object, where: str) -> MemoryMark:
    """Return the mark *name*: ``start``, ``model``, or a phase and its step, ``backward0``."""
    match = _MARK.fullmatch(name)
    if match is None:
        raise FileFormatError(f"{where}: {name!r:.40} is no mark")
    phase, step = match.groups()
    at = value_of(RecordedMark, said, where)
    return MemoryMark(
        int(step) if step else None, phase, at.allocated, at.reserved, at.peak_allocated, at.peak_reserved
    )


@dataclass(frozen=True, slots=True)
class History:
    """The allocator's events as they are written, and for each mark the number of events before it."""

    events: tuple[tuple[str, int, int | None], ...]
    marks: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        unknown = {action for action, _, _ in self.events} - _ACTIONS.keys()
        if unknown:
            raise FileFormatError(f"{min(unknown)!r:.40} is none of {', '.join(_ACTIONS)}")

    def allocator_events(self) -> tuple[AllocatorEvent, ...]:
        """Return the events as a measurement has them; an OOM has no address."""
        return tuple(
            AllocatorEvent(_ACTIONS[action], size, None if action == "o" else address)
            for action, size, address in self.events
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What the driver and the runtime said was in use at one moment."""

    gpu: int | None = None
    processes: tuple[tuple[int, int | None], ...] = ()
    me: int | None = None
    reserved: int | None = None
    runtime_used: int | None = None
    nvml_error: str | None = None

    def mine(self, others: frozenset[int]) -> int | None:
        """Return what the process holds: by its number, or as the only one that was not there before.

        Inside a container a process has another number than the driver knows.
        """
        by_number = dict(self.processes)
        if self.me in by_number:
            return by_number[self.me]
        new = [held for number, held in self.processes if number not in others]
        return new[0] if len(new) == 1 else None


@dataclass(frozen=True, slots=True)
class Quartiles:
    """What is told of one time."""

    median: float
    p25: float
    p75: float
    min: float
    n: int
