"""What torch.profiler saw of a few steps, as plain values: spans of the host, kernels, and calls of modules.

Spans of the host nest within their thread. Some of them are ours and say where the loop was: a step, a phase,
a call of a module or of a container's function; `Ours` makes and reads their names.
"""

from dataclasses import dataclass
from enum import StrEnum

from vggprof.trace import Phase

# Begins the names of all our spans.
OURS = "vggprof "


class Ours(StrEnum):
    """Kinds of spans that the profiler itself opens."""

    STEP = "step"
    PHASE = "phase"
    CALL = "call"

    def name_of(self, which: object) -> str:
        """Return the name of such a span."""
        return f"{OURS}{self.value} {which}"

    def read(self, name: str) -> str | None:
        """Return what a span's name says; None where it is no span of this kind."""
        start = f"{OURS}{self.value} "
        return name.removeprefix(start) if name.startswith(start) else None


@dataclass(frozen=True, slots=True)
class HostSpan:
    """Something that the host did: an operator, an autograd node, or a span of ours. Times in ns."""

    name: str
    begin: int
    end: int
    thread: int
    number: int  # that kernels name their cause by
    node: int = -1  # sequence number of the autograd node that it runs or, in forward, is about to make
    node_thread: int = 0  # that made the node; 0 outside the backward pass

    @property
    def runs_node(self) -> bool:
        """Whether it is the autograd engine running a node."""
        return self.node >= 0 and self.name.startswith("autograd::engine::evaluate_function")


@dataclass(frozen=True, slots=True)
class KernelSpan:
    """Something that the device did, and the number of the host's span that asked for it. Times in ns."""

    name: str
    begin: int
    end: int
    cause: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a module, or of a function that a container calls itself; nodes are autograd's."""

    path: str
    childless: bool  # a module without children
    in_backward: bool  # run again by a checkpoint
    first_node: int
    end_node: int  # one past the last that was made inside


@dataclass(frozen=True, slots=True)
class Capture:
    """A few steps as they were seen; without kernels they ran on the host."""

    host: tuple[HostSpan, ...]
    kernels: tuple[KernelSpan, ...]
    calls: tuple[Call, ...]  # a call's span says its place in here


def call_of(span: HostSpan) -> int | None:
    """Return the place in `Capture.calls` of the call that a span of ours stands for, None for others."""
    said = Ours.CALL.read(span.name)
    return None if said is None else int(said)


def phase_of(span: HostSpan) -> Phase | None:
    """Return the phase that a span of ours stands for; None for other spans."""
    said = Ours.PHASE.read(span.name)
    return None if said is None else Phase(said)
