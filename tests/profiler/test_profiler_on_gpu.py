"""The profiler on the GPU that is here: as on the CPU, and what only a GPU has."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
import torch
from profiled import QUICK, faulty, request, small
from torch.utils.benchmark import Timer

from vggprof import api
from vggprof.measurement import Execution, Measurement, Status
from vggprof.profiler import isolation, timing
from vggprof.profiler.plan import Plan
from vggprof.profiler.stage import Unwatched, set_up
from vggprof.trace import Amp, Layout, Mode, Setup

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

VGG = Setup(batch=8)


def measured(arch: str, setup: Setup = VGG, plan: Plan = QUICK, **asked: object) -> Measurement:
    said = request(arch, setup, plan, device="cuda", **asked)  # type: ignore[arg-type]
    return isolation.measure(said, lambda _text: None)


def test_a_training_of_vgg16(tmp_path: Path) -> None:
    files = {"trace_file": str(tmp_path / "t.json"), "snapshot_file": str(tmp_path / "s.pickle")}
    found = measured("vgg16", plan=Plan(steps=20, kernels=True, **files))  # type: ignore[arg-type]
    assert (found.status, found.message) == (Status.OK, None)
    assert found.timing is not None
    assert found.timing.clock == "cuda events"
    parts = [found.timing.forward, found.timing.backward, found.timing.optimizer]
    step = median(found.timing.step.values_ms)
    assert sum(median(part.values_ms) for part in parts if part) == pytest.approx(step, rel=0.05)
    # Kernels of layers and loop lie within the step, and of a network this large are most of it.
    busy = sum(
        time or 0 for row in found.layers for time in (row.forward_ms, row.backward_ms, row.optimizer_ms)
    )
    assert 0.7 * step < busy < 1.1 * step
    rows = {row.name: row for row in found.layers}
    assert rows["conv1_1"].dgrad_ms is None
    for name in ("conv1_2", "conv5_3", "fc6"):
        row = rows[name]
        assert row.wgrad_ms, name
        assert row.backward_ms, name
        assert row.forward_ms, name
        assert (row.dgrad_ms or 0) + row.wgrad_ms <= row.backward_ms * 1.0001, name
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert (tmp_path / "s.pickle").stat().st_size > 0


def test_memory_is_marked_and_every_allocation_recorded() -> None:
    found = measured("vgg16", plan=replace(QUICK, layers=False)).memory
    assert found is not None
    marks = [(mark.step, mark.phase) for mark in found.marks]
    steps = [
        (step, phase) for step in range(3) for phase in ("input", "output", "loss", "backward", "optimizer")
    ]
    assert marks == [(None, "start"), (None, "model"), *steps]
    assert (found.marks[0].allocated_bytes, found.marks[0].reserved_bytes) == (0, 0)
    held = 0
    for number, event in enumerate(found.events):
        if number in found.event_marks:
            mark = found.marks[found.event_marks.index(number)]
            assert mark.allocated_bytes == pytest.approx(held, abs=512 * len(found.events))  # rounded up
        held += {"alloc": event.size_bytes, "free_completed": -event.size_bytes}.get(event.action, 0)
    assert found.peak_allocated_bytes is not None
    assert found.peak_reserved_bytes is not None
    assert found.peak_allocated_bytes <= found.peak_reserved_bytes
    assert found.marks[-1].peak_allocated_bytes == found.peak_allocated_bytes


def test_allocations_are_those_that_are_predicted() -> None:
    report = api.compare_measurement(measured("vgg16", plan=replace(QUICK, layers=False)), search=False)
    assert report.events_compared
    assert report.parting is None


@pytest.mark.parametrize(
    "setup",
    [
        replace(VGG, amp=Amp.FP16, layout=Layout.CHANNELS_LAST),
        replace(VGG, amp=Amp.BF16),
        replace(VGG, mode=Mode.INFER),
        replace(VGG, optimizer="adam"),  # type: ignore[arg-type]
    ],
    ids=["amp_fp16", "amp_bf16", "infer", "adam"],
)
@pytest.mark.parametrize("execution", [Execution.EAGER, Execution.GRAPH])
def test_ways_to_run(setup: Setup, execution: Execution, tmp_path: Path) -> None:
    if execution is Execution.GRAPH and setup.amp is Amp.FP16:
        pytest.skip("a graph cannot hold the GradScaler")
    found = measured(small(tmp_path), setup, execution=execution)
    assert (found.status, found.message) == (Status.OK, None)
    assert found.timing is not None
    assert (found.timing.forward is None) == (execution is Execution.GRAPH)
    assert bool(found.layers) == (execution is Execution.EAGER)


def test_a_limit_stands_in_for_a_small_card() -> None:
    found = measured("vgg16", replace(VGG, batch=64), memory_limit_bytes=2 * 2**30)
    assert found.status is Status.OOM
    assert found.message is not None
    assert found.message.startswith("CUDA out of memory")
    assert found.memory is not None
    assert found.memory.events[-1].action in {"oom", "free_completed", "segment_free"}
    assert any(event.action == "oom" and event.address is None for event in found.memory.events)
    assert found.memory.context_bytes is None or found.memory.context_bytes < 2**30, "none of it is PyTorch's"


def test_a_crash_leaves_nothing_on_the_gpu(tmp_path: Path) -> None:
    free_before, _ = torch.cuda.mem_get_info()
    assert measured(faulty(tmp_path, "kill")).status is Status.CRASHED
    free_after, _ = torch.cuda.mem_get_info()
    assert abs(free_after - free_before) < 64 * 2**20


def test_sensors_are_read() -> None:
    found = measured("vgg16", plan=Plan(steps=20, layers=False))
    assert found.environment.driver is not None
    assert found.sensors
    assert found.sensors[-1].used_bytes is not None


def test_the_median_is_that_of_torchs_own_benchmark() -> None:
    asked = request("vgg16", VGG, device="cuda")
    loop = set_up(asked.conditions, asked.trace, Unwatched())
    loop.stage.keep = True
    watch = timing.Stopwatch(timing.CudaClock())
    timer = Timer("step()", globals={"step": loop.step})
    timing.warm_up(loop.step, timing.CudaClock(), 1)
    ours, theirs = [], []
    for _ in range(30):
        loop.stage.observer = watch
        ours.append([watch.time(loop.step)["step"] for _ in range(3)][-1])
        loop.stage.observer = Unwatched()
        theirs.append(timer.timeit(1).mean * 1000)
    assert median(ours) == pytest.approx(median(theirs), rel=0.05)
