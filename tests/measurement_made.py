"""Measurements for tests of several rooms: one by hand, and any by chance."""

from dataclasses import replace

from hypothesis import strategies as st

from vggprof.measurement import (
    AllocatorEvent,
    Conditions,
    Environment,
    Execution,
    Kernel,
    LayerTime,
    Measurement,
    Memory,
    MemoryMark,
    PhaseTime,
    Protocol,
    Samples,
    Sensor,
    Status,
    Timing,
)
from vggprof.trace import Amp, Layout, Mode, Optimizer, Setup

GPU = Environment(
    device_name="NVIDIA GeForce RTX 3060",
    torch="2.15.0",
    python="3.11.2",
    platform="Linux",
    vggprof="0.1.0",
    threads=8,
    cuda="13.0",
    cudnn=92600,
    driver="580.65.06",
    capability=(8, 6),
    sm_count=28,
    total_memory_bytes=12490768384,
)
CPU = replace(
    GPU,
    device_name="a CPU",
    cuda=None,
    cudnn=None,
    driver=None,
    capability=None,
    sm_count=None,
    total_memory_bytes=None,
)


def on_cpu(batch: int = 2, step: tuple[float, ...] = (10.0, 11.0, 12.0)) -> Measurement:
    """A training of LeNet-5 on the CPU whose parts take 4, 5 and 1 tenths of the step."""
    return Measurement(
        conditions=Conditions("lenet5", Setup(batch=batch), "cpu"),
        environment=CPU,
        status=Status.OK,
        timing=Timing(
            clock="monotonic",
            step=Samples(step),
            forward=Samples(tuple(0.4 * each for each in step)),
            backward=Samples(tuple(0.5 * each for each in step)),
            optimizer=Samples(tuple(0.1 * each for each in step)),
        ),
        layers=(
            LayerTime("c1", 2.0, 2.5, dgrad_ms=None, wgrad_ms=2.5, optimizer_ms=0.25),
            LayerTime("f6", 1.5, 2.0, kernels=(Kernel("aten::addmm", "forward", 1.0, 1.5),)),
            LayerTime("", 0.25, 0.5),
        ),
        profiled=LayerTime("", 4.4, 5.5, optimizer_ms=1.1),
        memory=Memory(process_bytes=300 * 2**20),
        began="2026-01-02T03:04:05+00:00",
    )


_whole = st.integers(0, 2**64 - 1)
_times = st.floats(0, 1e12)
_maybe_time, _maybe_whole, _maybe_text = st.none() | _times, st.none() | _whole, st.none() | st.text()
_setups = st.builds(
    Setup,
    batch=st.integers(1, 2**20),
    mode=st.just(Mode.TRAIN),
    optimizer=st.sampled_from(Optimizer),
    amp=st.sampled_from(Amp),
    layout=st.sampled_from(Layout),
) | st.just(Setup(mode=Mode.INFER))
_conditions = st.builds(
    Conditions,
    arch=st.text(),
    setup=_setups,
    device=st.sampled_from(("cpu", "cuda")),
    execution=st.sampled_from(Execution),
    tf32=st.booleans(),
    deterministic=st.booleans(),
    benchmark=st.booleans(),
    memory_limit_bytes=_maybe_whole,
    protocol=st.sampled_from(Protocol),
)
_environments = st.builds(
    Environment,
    *(st.text(),) * 5,
    threads=_maybe_whole,
    cuda=_maybe_text,
    cudnn=_maybe_whole,
    driver=_maybe_text,
    capability=st.none() | st.tuples(st.integers(0, 99), st.integers(0, 9)),
    sm_count=_maybe_whole,
    total_memory_bytes=_maybe_whole,
    variables=st.lists(st.tuples(st.text(), st.text()), max_size=2).map(tuple),
)


@st.composite
def _samples(draw: st.DrawFn) -> Samples:
    values = draw(st.lists(_times, min_size=1, max_size=4))
    return Samples(tuple(values), tuple(draw(st.sets(st.integers(0, len(values) - 1)))))


_maybe_samples = st.none() | _samples()
_timings = st.builds(
    Timing,
    st.text(),
    _samples(),
    _maybe_samples,
    _maybe_samples,
    _maybe_samples,
    _maybe_samples,
    converged=st.booleans(),
    capped=st.booleans(),
)
_kernels = st.builds(Kernel, st.text(), st.text(), _times, _times)
_layers = st.builds(
    LayerTime,
    st.text(),
    *(_maybe_time,) * 5,
    kernels=st.lists(_kernels, max_size=2).map(tuple),
)
_marks = st.builds(MemoryMark, _maybe_whole, st.text(), *(_whole,) * 4)
_events = st.builds(AllocatorEvent, st.text(), _whole, _maybe_whole)


@st.composite
def _memories(draw: st.DrawFn) -> Memory:
    events = tuple(draw(st.lists(_events, max_size=3)))
    marks = tuple(draw(st.lists(_marks, max_size=3)))
    before = sorted(draw(st.lists(st.integers(0, len(events)), min_size=len(marks), max_size=len(marks))))
    return Memory(
        peak_allocated_bytes=draw(_maybe_whole),
        peak_reserved_bytes=draw(_maybe_whole),
        process_bytes=draw(_maybe_whole),
        gpu_bytes=draw(_maybe_whole),
        context_bytes=draw(_maybe_whole),
        marks=marks,
        events=events,
        event_marks=tuple(before) if draw(st.booleans()) else (),
        retries=draw(_maybe_whole),
    )


_sensors = st.builds(
    Sensor,
    _times,
    _maybe_whole,
    _maybe_whole,
    _maybe_whole,
    st.none() | st.integers(-50, 120),
    _maybe_time,
    st.lists(st.text(), max_size=2).map(tuple),
)
_phases = st.builds(PhaseTime, st.text(), st.text(), *(_times,) * 4, n=_whole)

measurements = st.builds(
    Measurement,
    _conditions,
    _environments,
    st.sampled_from(Status),
    _maybe_text,
    st.none() | _timings,
    st.lists(_layers, max_size=2).map(tuple),
    st.none() | _memories(),
    st.lists(_sensors, max_size=2).map(tuple),
    _maybe_text,
    st.lists(_phases, max_size=2).map(tuple),
)
