"""The reference loop on the CPU: its steps timed, and its layers told apart, in this process."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from time import thread_time, thread_time_ns
from weakref import ref

import pytest
import torch
from profiled import QUICK, request, small
from torch.utils.benchmark import Timer

from vggprof.measurement import LayerTime, Samples
from vggprof.profiler import seed_protocol, timing
from vggprof.profiler.attribution import phase_times, pieces
from vggprof.profiler.capture import Watch, capture
from vggprof.profiler.gradients import Gradient, gradients_of
from vggprof.profiler.layer_times import profiled_step
from vggprof.profiler.plan import Request
from vggprof.profiler.spans import Capture, phase_of
from vggprof.profiler.stage import Loop, Unwatched, set_up
from vggprof.trace import Amp, Dtype, Layout, Mode, Phase, Setup
from vggprof.tracing.loop import Training


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute with one thread: others would wait for each other where there are few cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loop_of(asked: Request) -> Loop:
    loop = set_up(asked.conditions, asked.trace, Unwatched())
    loop.stage.keep = True
    return loop


def seen_of(asked: Request, steps: int = 2) -> Capture:
    loop = loop_of(asked)
    watch = Watch(loop.stage.module)
    loop.stage.observer = watch
    return capture(loop.step, steps, watch, cuda=False, trace_file=None)


def rows_of(asked: Request) -> dict[str, LayerTime]:
    step = profiled_step(seen_of(asked), asked.trace, kernels=True)
    return {row.name: row for row in step.layers}


def test_every_layer_of_the_trace_has_its_times(tmp_path: Path) -> None:
    asked = request(small(tmp_path))
    rows = rows_of(asked)
    assert list(rows) == [layer.name for layer in asked.trace.layers] + [""]
    for name, row in rows.items():
        assert row.forward_ms is not None
        assert row.forward_ms > 0, name
        assert row.backward_ms is not None
        assert row.backward_ms > 0, name
        assert (row.optimizer_ms is None) == bool(name)
    assert rows["conv1"].dgrad_ms is None, "nobody wants the gradient of images"
    assert rows["conv1"].wgrad_ms is not None
    assert rows["conv1"].wgrad_ms > 0
    # On the CPU both gradients of a convolution come from one operator.
    assert (rows["conv2"].dgrad_ms, rows["conv2"].wgrad_ms) == (None, None)
    data, weight, whole = rows["fc"].dgrad_ms, rows["fc"].wgrad_ms, rows["fc"].backward_ms
    assert data is not None
    assert weight is not None
    assert whole is not None
    assert 0 < data + weight < whole
    ran = {(kernel.name, kernel.pass_name) for kernel in rows["fc"].kernels}
    assert {("aten::addmm", "forward"), ("aten::mm", "dgrad"), ("aten::mm", "wgrad")} <= ran


def test_times_of_kernels_add_up_to_their_layer(tmp_path: Path) -> None:
    for name, row in rows_of(request(small(tmp_path))).items():
        whole = (row.forward_ms or 0) + (row.backward_ms or 0) + (row.optimizer_ms or 0)
        assert sum(kernel.time_ms for kernel in row.kernels) == pytest.approx(whole), name


def test_layers_are_part_of_the_step_that_they_were_seen_in(tmp_path: Path) -> None:
    asked = request(small(tmp_path))
    seen = seen_of(asked, steps=4)
    step = profiled_step(seen, asked.trace, kernels=False)
    assert step.whole is not None
    for part in ("forward_ms", "backward_ms", "optimizer_ms"):
        layers = sum(getattr(row, part) or 0 for row in step.layers)
        assert 0 < layers <= getattr(step.whole, part), part
    steps = {piece.step for piece in pieces(seen, frozenset())}
    of_steps = {number: sum(time for _, time in phase_times(seen, number)) for number in steps}
    whole = sum(getattr(step.whole, part) for part in ("forward_ms", "backward_ms", "optimizer_ms"))
    arrived = {
        number: sum(time for phase, time in phase_times(seen, number) if phase is Phase.INPUT)
        for number in steps
    }
    assert round(whole * 1e6) in {of_steps[number] - arrived[number] for number in steps}


def test_no_time_is_counted_twice(tmp_path: Path) -> None:
    asked = request(small(tmp_path))
    seen = seen_of(asked)
    phases = sum(span.end - span.begin for span in seen.host if phase_of(span))
    found = pieces(seen, frozenset(layer.name for layer in asked.trace.layers))
    assert 0 < sum(piece.time for piece in found) <= phases


def test_the_data_gradient_of_a_linear_layer_comes_first(tmp_path: Path) -> None:
    trace = request(small(tmp_path)).trace
    (fc,) = (number for number, layer in enumerate(trace.layers) if layer.name == "fc")
    products = [op for op in trace.step_operators(0) if op.layer == fc and op.name == "aten.mm.default"]
    # 30x30 pixels after conv1, 15x15 after pool1, 13x13 after conv2: 32 x 13 x 13 = 5,408 features.
    assert [op.outputs[0].shape for op in products] == [(2, 5408), (10, 5408)]
    assert gradients_of(trace) == {
        "conv1": (Gradient.WEIGHT,),
        "conv2": (Gradient.BOTH,),
        "fc": (Gradient.DATA, Gradient.WEIGHT),
    }


@pytest.mark.parametrize(
    "setup",
    [
        Setup(batch=2, accumulate=2),
        Setup(batch=2, checkpoint="stages"),
        Setup(batch=2, freeze="backbone"),
        Setup(batch=2, inplace=True, layout=Layout.CHANNELS_LAST),
        Setup(batch=2, amp=Amp.BF16, optimizer="adam"),  # type: ignore[arg-type]
        Setup(batch=2, amp=Amp.FP16),
        Setup(batch=2, mode=Mode.INFER),
        Setup(batch=2, mode=Mode.INFER, dtype=Dtype.FP16),
    ],
    ids=lambda setup: str(setup).partition("(")[2],
)
def test_every_way_to_run_has_its_layers(setup: Setup, tmp_path: Path) -> None:
    rows = rows_of(request(small(tmp_path), setup))
    for name in ("conv1", "conv2", "fc"):
        assert (rows[name].forward_ms or 0) > 0, name
        assert (rows[name].backward_ms is None) == (not setup.training)
        if setup.training and (setup.freeze is None or name == "fc"):
            assert (rows[name].backward_ms or 0) > 0, name


RESIDUAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.fc = nn.Linear(192, 4)

    def forward(self, x):
        for _ in range(x.dim() // 2):
            x = torch.relu(self.conv(x) + x)
        return self.fc(x.flatten(1))
"""


def test_functions_of_containers_and_second_calls_are_layers_too(tmp_path: Path) -> None:
    (tmp_path / "residual.py").write_text(RESIDUAL)
    rows = rows_of(request(f"{tmp_path / 'residual.py'}:Net@input=3x8x8"))
    assert list(rows) == ["conv", "add", "relu", "conv#2", "add#2", "relu#2", "flatten", "fc", ""]
    for name, row in rows.items():
        assert (row.forward_ms or 0) > 0, name
        assert (row.backward_ms or 0) > 0, name
    assert rows["conv"].dgrad_ms is None
    assert rows["conv#2"].dgrad_ms is None, "both gradients from one operator"


def timed(asked: Request) -> dict[str, Samples | None]:
    loop = loop_of(asked)
    watch = timing.Stopwatch(timing.HostClock())
    loop.stage.observer = watch
    found = timing.timed(lambda: watch.time(loop.step), asked.plan, lambda: False, clock="monotonic")
    return {name: getattr(found, name) for name in ("step", "forward", "backward", "optimizer", "host_step")}


def test_the_parts_of_a_step_lie_within_it(tmp_path: Path) -> None:
    found = timed(request(small(tmp_path)))
    step, forward, backward, optimizer = (
        found[name] for name in ("step", "forward", "backward", "optimizer")
    )
    assert step
    assert forward
    assert backward
    assert optimizer
    assert found["host_step"] is None, "on the CPU it is the step itself"
    assert len(step.values_ms) == QUICK.steps
    for whole, *parts in zip(
        step.values_ms, forward.values_ms, backward.values_ms, optimizer.values_ms, strict=True
    ):
        assert min(parts) > 0
        assert sum(parts) <= whole


def test_inference_is_a_forward_pass(tmp_path: Path) -> None:
    found = timed(request(small(tmp_path), Setup(batch=2, mode=Mode.INFER)))
    assert found["forward"]
    assert (found["backward"], found["optimizer"]) == (None, None)


def test_the_median_is_that_of_torchs_own_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By a clock that stands still while others have the processor, in turns. Before the run that it times,
    # torch's own runs two that it does not (Timer.timeit in torch/utils/benchmark/utils/timer.py), as we do.
    monkeypatch.setattr("vggprof.profiler.timing.perf_counter_ns", thread_time_ns)
    loop = loop_of(request(small(tmp_path), Setup(batch=8)))
    watch = timing.Stopwatch(timing.HostClock())
    timer = Timer("step()", globals={"step": loop.step}, num_threads=1, timer=thread_time)
    ours, theirs = [], []
    for _ in range(60):
        loop.stage.observer = watch
        ours.append([watch.time(loop.step)["step"] for _ in range(3)][-1])
        loop.stage.observer = Unwatched()
        theirs.append(timer.timeit(1).mean * 1000)
    assert median(own / other for own, other in zip(ours, theirs, strict=True)) == pytest.approx(1, rel=0.05)


def test_new_weights_and_images_are_the_same_under_the_same_seed(tmp_path: Path) -> None:
    asked = request(small(tmp_path))

    def losses() -> list[float]:
        torch.manual_seed(3)
        loop = set_up(asked.conditions, asked.trace, Unwatched())
        assert isinstance(loop.steps, Training)
        found = []
        for _ in range(2):
            loop.step()
            found.append(loop.steps.loss.item())
        return found

    first = losses()
    assert first == losses()
    assert first[0] != first[1], "the weights move"
    assert 1 < first[0] < 5  # about log(10) = 2.3: ten classes, nothing learned


@pytest.mark.parametrize("mode", Mode)
def test_a_loop_lets_go_of_its_last_step(mode: Mode, tmp_path: Path) -> None:
    loop = loop_of(request(small(tmp_path), Setup(batch=2, mode=mode)))
    loop.step()
    held = [ref(loop.steps.out), *([ref(loop.steps.loss)] if isinstance(loop.steps, Training) else [])]
    assert all(each() is not None for each in held)
    loop.let_go()
    assert all(each() is None for each in held)
    loop.step()
    assert loop.steps.out is not None


def test_the_seed_protocol_prints_as_its_script_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()  # a quarter of a second between two looks, of which each step takes one at either end
    monkeypatch.setattr("vggprof.profiler.seed_protocol.perf_counter", lambda: next(clock) / 4)
    loop = set_up_at_once(request(small(tmp_path)))
    calls, lines = [], list[str]()
    loop.stage.module.register_forward_hook(lambda module, *_: calls.append(module.training))
    found = seed_protocol.run(loop, 20, lambda: None, lines.append)
    assert calls == [False] * 30 + [True] * 30  # ten of them burn in
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: "
    every_ten = [rf"{stamp}step {number}, duration = 0\.250" for number in (0, 10)]
    ends = [
        rf"{stamp}{name} across 20 steps, 0\.250 \+/- 0\.000 sec / batch"
        for name in ("Forward", "Forward-backward")
    ]
    wanted = [*every_ten, ends[0], *every_ten, ends[1]]
    assert len(lines) == len(wanted)
    assert all(re.fullmatch(want, line) for want, line in zip(wanted, lines, strict=True))
    assert found.forward
    assert found.forward.values_ms == found.step.values_ms == (250.0,) * 20
    assert all(parameter.grad is None for parameter in loop.stage.module.parameters())


def set_up_at_once(asked: Request) -> Loop:
    """Return a loop whose batch is there: it has run a step and let go of its gradients."""
    loop = loop_of(replace(asked, plan=QUICK))
    loop.step()
    loop.stage.module.zero_grad()
    return loop
