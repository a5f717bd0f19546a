"""A measurement: what the steps of one network took on one machine, with all that is needed to repeat it.

Made by the profiler in a process of its own, or read from a file. Every field that a machine could not answer
is None or empty, never 0.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from vggprof.trace import Setup


class Status(StrEnum):
    """How a measurement ended; all of them are results."""

    OK = "ok"
    OOM = "oom"
    TIMEOUT = "timeout"
    CRASHED = "crashed"


class Execution(StrEnum):
    """How the steps were run."""

    EAGER = "eager"
    GRAPH = "graph"  # captured once as a CUDA graph, then replayed
    COMPILE = "compile"  # torch.compile


class Protocol(StrEnum):
    """What was timed."""

    STEPS = "steps"  # of the reference loop
    SEED = "seed"  # passes, as in `vggprof.profiler.seed_protocol`: no optimizer is in its steps


@dataclass(frozen=True, slots=True)
class Conditions:
    """What was asked to be measured."""

    arch: str
    setup: Setup
    device: str  # "cpu" or "cuda"
    execution: Execution = Execution.EAGER
    tf32: bool = True  # in convolutions; matrix products keep torch's own default
    deterministic: bool = False
    benchmark: bool = False
    memory_limit_bytes: int | None = None  # on the GPU what PyTorch may have, on the CPU address space
    protocol: Protocol = Protocol.STEPS


@dataclass(frozen=True, slots=True)
class Environment:
    """What it was measured on and with."""

    device_name: str  # of the GPU as torch names it, or of the CPU
    torch: str
    python: str
    platform: str
    vggprof: str
    threads: int | None  # that torch computes with on the CPU
    cuda: str | None = None
    cudnn: int | None = None  # as torch.backends.cudnn.version() says it
    driver: str | None = None
    capability: tuple[int, int] | None = None
    sm_count: int | None = None
    total_memory_bytes: int | None = None
    variables: tuple[tuple[str, str], ...] = ()  # of the environment, that change what torch does


def cudnn_release(number: int) -> str:
    """Return cuDNN's *number* as its release: 9.19.0 for 91900, and 8.9.7 for 8907 (cudnn_version.h)."""
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


@dataclass(frozen=True, slots=True)
class Samples:
    """Repeated measurements of one time. Raises ValueError for none at all, or marks of samples not there."""

    values_ms: tuple[float, ...]
    throttled: tuple[int, ...] = ()  # indices of samples taken while the GPU held itself back

    def __post_init__(self) -> None:
        if not self.values_ms:
            raise ValueError("a time needs a sample or more")
        if any(not 0 <= index < len(self.values_ms) for index in self.throttled):
            raise ValueError("a throttled sample is not among the samples")


# The fields of `Timing` that are times, in the order in which they are shown.
TIMES = ("forward", "backward", "optimizer", "step", "host_step")


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of whole steps: of the device where there is one, and what the host took to issue them.

    What was not run is None: inference has neither backward nor optimizer. The batch lies on the device
    before the clock starts.
    """

    clock: str  # "cuda events" or "monotonic"
    step: Samples
    forward: Samples | None = None  # with the loss, in training
    backward: Samples | None = None
    optimizer: Samples | None = None
    host_step: Samples | None = None  # on a GPU, until everything was issued
    converged: bool = True  # whether the spread that was asked for was reached
    capped: bool = False  # whether time was up before that, with fewer steps than were asked for


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """Time of one phase where a file tells its quartiles but not the samples behind them."""

    phase: str  # the mark that ends it: "output" (forward, before the loss), "loss", "backward", "optimizer"
    clock: str  # as in `Timing`, or "host" for what the host took to issue it
    median_ms: float
    p25_ms: float
    p75_ms: float
    min_ms: float
    n: int


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, or CPU operator, behind a layer."""

    name: str
    pass_name: str  # "forward", "dgrad", "wgrad", "backward" (both, or neither, of the two) or "optimizer"
    calls: float  # a step
    time_ms: float  # a step


@dataclass(frozen=True, slots=True)
class LayerTime:
    """Time of one layer in the profiled step of median length; None is what was not run or not told apart."""

    name: str  # as in the trace; "" for what belongs to no layer
    forward_ms: float | None
    backward_ms: float | None  # all of it
    dgrad_ms: float | None = None
    wgrad_ms: float | None = None
    optimizer_ms: float | None = None
    kernels: tuple[Kernel, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryMark:
    """What is held when a phase of a step ends."""

    step: int | None
    phase: str  # "start", then names of the trace's marks: "model", "input", "output", "loss", ...
    allocated_bytes: int
    reserved_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int


@dataclass(frozen=True, slots=True)
class AllocatorEvent:
    """One entry of the allocator's own history."""

    action: str  # as torch writes it: "alloc", "free_completed", "segment_alloc", "segment_free", "oom", ...
    size_bytes: int
    address: int | None  # an OOM has none


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the first steps; on the CPU only the process is known.

    Raises ValueError where *event_marks* do not say for each mark how many of the events came before it.
    """

    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    process_bytes: int | None = None  # the most that the process held: on the GPU by NVML, else resident
    gpu_bytes: int | None = None  # the most that was in use on the GPU, by all processes
    context_bytes: int | None = None  # of the process, outside the allocator
    marks: tuple[MemoryMark, ...] = ()
    events: tuple[AllocatorEvent, ...] = ()
    event_marks: tuple[int, ...] = ()  # for each mark, the number of events before it
    retries: int | None = None

    def __post_init__(self) -> None:
        places = (*self.event_marks, len(self.events))
        if self.event_marks and len(self.event_marks) != len(self.marks):
            raise ValueError("each mark needs the number of events before it, or none has one")
        if places[0] < 0 or any(after < before for before, after in pairwise(places)):
            raise ValueError("marks do not follow each other among the events")


@dataclass(frozen=True, slots=True)
class Sensor:
    """What NVML said at one moment; None where the driver refuses."""

    at_ms: float  # since the measuring began
    used_bytes: int | None = None
    process_bytes: int | None = None
    sm_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One network's measurement; *message* says what went wrong, which is little where *status* is OK."""

    conditions: Conditions
    environment: Environment
    status: Status
    message: str | None = None
    timing: Timing | None = None
    layers: tuple[LayerTime, ...] = ()
    memory: Memory | None = None
    sensors: tuple[Sensor, ...] = ()
    began: str | None = None  # UTC, ISO 8601
    phases: tuple[PhaseTime, ...] = ()  # in the place of `timing`, where the samples are not known
    profiled: LayerTime | None = None  # all of the step that `layers` are of, where it ran on the host

    @property
    def times(self) -> dict[str, Samples]:
        """The times that were taken, by their name in `TIMES`; empty where nothing was timed."""
        found = ((name, getattr(self.timing, name, None)) for name in TIMES)
        return {name: samples for name, samples in found if samples is not None}
