"""Predicted trainings as torch would record them: small ones by hand, and VGG-16."""

import pickle
import pickletools
import warnings
from pathlib import Path

import pytest
from torch_viewers import tools

from vggprof import api, views
from vggprof.devices import custom_device, find_device
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.recording import Recording, kind_of, record, stacks
from vggprof.memory.replay import Action, check_trace, read_snapshot
from vggprof.memory.report import MemoryReport, report
from vggprof.memory.run import End, Machine, run
from vggprof.memory.timeline import Allocate, Ask, Hold, Need, Release, Timeline, TimelineEvent
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.libraries import find_libraries
from vggprof.memory.workspaces.plans import Answer, Plan
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.targets import Choice, choose
from vggprof.trace import Kind, Layer, Mark, Operator, Parameter, Phase, Setup, Storage, Trace
from vggprof.trace.traces import Traces
from vggprof.units import GIB, MIB

IMAGE = Strided.contiguous((1, 1, 8, 8))
WORKSPACE = Workspace(
    CudnnQuery(Pass.FORWARD, "float32", IMAGE, IMAGE, IMAGE, (0, 0), (1, 1), (1, 1), "A"), CudnnSettings()
)
TWO_PLANS = Answer(
    (Plan("eng0", 30 * MIB, (), False), Plan("eng1", 20 * MIB, (), False)), "cuDNN 9", 30 * MIB, 30 * MIB
)
NO_CUDNN = Choice(None, None)
SETUP = Setup(batch=32)
MODEL = Mark(None, Phase.MODEL)


def line(*events: TimelineEvent) -> Timeline:
    """Two layers: 12 MiB of parameters, 2 of activations, 1 of gradients, 16 of a cuBLAS workspace."""
    operators = (
        Operator("aten.convolution.default", 0, Phase.FORWARD, 0, (), (), ()),
        Operator("aten.convolution_backward.default", 0, Phase.BACKWARD, 1, (), (), ()),
    )
    layers = tuple(Layer(name, name, "Conv2d", (), None, training=True) for name in ("conv1", "conv2"))
    needs = (
        Need(12 * MIB, 12 * MIB, Kind.PARAMETER, 0, None, ""),
        Need(2 * MIB, 2 * MIB, Kind.ACTIVATION, 0, 0, ""),
        Need(MIB, MIB, Kind.GRADIENT, 1, 1, ""),
        Need(16 * MIB, 16 * MIB, None, 1, 1, "torch keeps it"),
    )
    storages = tuple(Storage(n.low_bytes, n.kind, n.layer, n.operator) for n in needs[:3] if n.kind)
    weight = Parameter("conv1.weight", (3, 2**20), "float32", 0, trainable=True, buffer=False)
    trace = Trace("net", Setup(), "2.15.0", layers, (weight,), storages, operators, ())
    return Timeline(trace, needs, events)


def machine(mib: int | None = None) -> Machine:
    return Machine(AllocatorConfig(), None if mib is None else mib * MIB)


def said(recording: Recording) -> list[tuple[str, ...]]:
    """The stack of each entry, as torch's viewers write frames."""
    return [tuple(f"{f.filename}:{f.line}:{f.name}" for f in stack) for stack in stacks(recording)]


def test_every_entry_has_its_cause() -> None:
    events = (Allocate(0), MODEL, Allocate(1), Ask(WORKSPACE, 0), Mark(0, Phase.FORWARD), Release(1))
    recording = record(line(*events), {WORKSPACE: TWO_PLANS}, machine())
    listed = [
        (entry.event.action.value, cause)
        for entry, cause in zip(recording.entries, recording.causes, strict=True)
    ]
    assert listed == [
        ("segment_alloc", 0), ("alloc", 0),
        ("segment_alloc", 2), ("alloc", 2),
        ("segment_alloc", 3), ("alloc", 3), ("free_requested", 3), ("free_completed", 3),
        ("free_requested", 5), ("free_completed", 5),
    ]  # fmt: skip
    # 12 and 30 MiB have segments of their own; 2 MiB are cut from one of 20.
    assert [entry.nbytes // MIB for entry in recording.entries] == [12, 12, 20, 2, 30, 30, 30, 30, 2, 2]
    assert [kind_of(recording.timeline, cause) for cause in (0, 2, 3)] == [
        "parameters", "activations", "workspaces",
    ]  # fmt: skip


def test_frames_name_what_where_and_when() -> None:
    events = (
        Allocate(0), MODEL, Allocate(1), Ask(WORKSPACE, 0), Mark(0, Phase.FORWARD),
        Release(1), Hold(3, ("cublas", True)), Hold(3, ("cublas", True)), Mark(0, Phase.BACKWARD),
    )  # fmt: skip
    recording = record(line(*events), {WORKSPACE: TWO_PLANS}, machine())
    stack = dict(zip(((e.event.action, c) for e, c in zip(recording.entries, recording.causes, strict=True)),
                     said(recording), strict=True))  # fmt: skip
    assert stack[Action.ALLOC, 0] == (
        "memory:0:parameters", "parameter:0:conv1.weight", "layer:0:conv1", "before the first step:0:model",
    )  # fmt: skip
    assert stack[Action.SEGMENT_ALLOC, 0] == stack[Action.ALLOC, 0]
    assert stack[Action.ALLOC, 3] == (
        "memory:0:workspaces", "rule:0:cuDNN workspace", "operator:0:aten.convolution.default",
        "layer:0:conv1", "step 0:0:forward",
    )  # fmt: skip
    assert stack[Action.FREE_COMPLETED, 3] == stack[Action.ALLOC, 3]
    # The activation is made in the forward pass and freed in the backward one.
    assert stack[Action.ALLOC, 2][-1] == "step 0:0:forward"
    assert stack[Action.FREE_COMPLETED, 5] == ("memory:0:activations", "layer:0:conv1", "step 0:0:backward")
    assert stack[Action.ALLOC, 6][:2] == ("memory:0:workspaces", "rule:0:torch keeps it")
    assert (Action.ALLOC, 7) not in stack  # it is there already


def test_a_plan_that_is_passed_over_is_an_oom_and_the_run_goes_on() -> None:
    """On 40 MiB the plan of 30 fails beside 12 (its segment of 30 does not fit), the one of 20 runs."""
    timeline = line(Allocate(0), MODEL, Ask(WORKSPACE, 0), Release(0))
    recording = record(timeline, {WORKSPACE: TWO_PLANS}, machine(40))
    assert recording.failure is None
    actions = [entry.event.action.value for entry in recording.entries]
    assert actions[2:5] == ["oom", "segment_alloc", "alloc"]
    assert recording.entries[2].event.size_bytes == 30 * MIB
    agreement = check_trace(recording.trace)
    assert agreement.complete
    assert (agreement.ooms_recorded, agreement.ooms_matched) == (1, 1)


def test_it_ends_where_memory_runs_out() -> None:
    recording = record(line(Allocate(0), MODEL, Allocate(1), Release(0)), {}, machine(13))
    assert recording.failure is not None
    assert recording.entries[-1].event.action is Action.OOM
    assert recording.causes[-1] == 2
    assert check_trace(recording.trace).complete


def test_searches_of_benchmark_leave_an_empty_cache() -> None:
    """What the search held goes back to the device, and the workspace comes anew."""
    asks = Workspace(WORKSPACE.query, CudnnSettings(benchmark=True))
    recording = record(line(Ask(asks, 0), MODEL), {asks: TWO_PLANS}, machine())
    actions = [entry.event.action for entry in recording.entries]
    assert actions.index(Action.SEGMENT_FREE) < len(actions) - 1 - actions[::-1].index(Action.ALLOC)
    assert check_trace(recording.trace).complete


# VGG-16, whole ------------------------------------------------------------------------------------


def reported(card: Card, choice: Choice = NO_CUDNN, allocator: AllocatorConfig | None = None) -> MemoryReport:
    """The report on VGG-16 at batch 32, without a search for the largest batch."""
    config = allocator or AllocatorConfig(torch=(2, 15))
    software = Software((2, 15), (13, 0), choice, CudnnSettings(), config)
    with Forecast(Traces(lambda _: api.trace_arch("vgg16", SETUP)), software) as forecast:
        return report(forecast, 32, [card], search=False, record=True)


CARD = Card(find_device("RTX 3060"))


@pytest.fixture(scope="module")
def vgg16() -> MemoryReport:
    return reported(CARD)


def replays_to_every_address(answer: MemoryReport, file: Path) -> None:
    file.write_bytes(views.memory_snapshot(answer))
    (read,) = read_snapshot(file)
    assert answer.recording is not None
    assert read.events == answer.recording.trace.events
    (run,) = api.replay(file).runs
    agreement = run.agreement
    assert agreement.complete
    assert agreement.layout_matched
    assert agreement.allocations == agreement.addresses_matched > 400
    assert agreement.segments_recorded == agreement.segments_matched > 10
    assert answer.single is not None
    if answer.recording.failure is None:
        shown = answer.single.prediction.shown
        assert agreement.stats.peak_allocated_bytes == shown.peak_allocated_bytes
        assert agreement.stats.peak_reserved_bytes == shown.peak_reserved_bytes


def opens_without_a_warning(answer: MemoryReport) -> dict[str, str]:
    """What torch's own tools say of it."""
    made = pickle.loads(views.memory_snapshot(answer))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {name: tool(made) for name, tool in tools().items()}


def test_vgg16_replays_to_every_address(vgg16: MemoryReport, tmp_path: Path) -> None:
    replays_to_every_address(vgg16, tmp_path / "out.pickle")


def test_vgg16_opens_in_torchs_own_tools(vgg16: MemoryReport) -> None:
    shown = opens_without_a_warning(vgg16)
    assert all(len(text) > 100 for text in shown.values())
    # A flame graph goes from the step to the layer; what is left at the end has its frames.
    assert (
        "before the first step:0:model;layer:0:conv1_1;parameter:0:conv1_1.weight;memory:0:parameters"
        in (shown["memory"])
    )
    assert "memory:0:optimizer_state" in shown["memory"]


# What `unpickle` in torch/utils/viz/MemoryViz.js, the viewer page, decodes; protocols 2 to 4.
VIEWER_OPERATIONS = frozenset(
    [
        "PROTO",
        "FRAME",
        "MEMOIZE",
        "BINPUT",
        "LONG_BINPUT",
        "BINGET",
        "LONG_BINGET",
        "MARK",
        "STOP",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "EMPTY_DICT",
        "DICT",
        "SETITEM",
        "SETITEMS",
        "EMPTY_LIST",
        "LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
    ]
)


def test_the_viewer_page_decodes_it(vgg16: MemoryReport) -> None:
    operations = list(pickletools.genops(views.memory_snapshot(vgg16)))
    assert {operation.name for operation, _, _ in operations} <= VIEWER_OPERATIONS
    assert operations[0][1] == 4


def test_vgg16_with_expandable_segments(tmp_path: Path) -> None:
    config = AllocatorConfig(torch=(2, 15), expandable_segments=True)
    answer = reported(CARD, allocator=config)
    replays_to_every_address(answer, tmp_path / "out.pickle")
    opens_without_a_warning(answer)


def test_vgg16_that_does_not_fit_ends_in_the_oom(tmp_path: Path) -> None:
    answer = reported(Card(custom_device(4 * GIB)))
    assert answer.recording is not None
    assert answer.recording.failure is not None
    assert answer.recording.entries[-1].event.action is Action.OOM
    file = tmp_path / "out.pickle"
    file.write_bytes(views.memory_snapshot(answer))
    (run,) = api.replay(file).runs
    assert run.agreement.complete
    assert run.agreement.ooms_recorded == run.agreement.ooms_matched >= 1
    assert "OutOfMemoryError" in opens_without_a_warning(answer)["trace"]


def test_vgg16_with_what_cudnn_says(tmp_path: Path) -> None:
    choice = choose(find_libraries(), cudnn=None, torch=None)
    if choice.library is None:
        pytest.skip("no cuDNN is here")
    answer = reported(CARD, choice)
    replays_to_every_address(answer, tmp_path / "out.pickle")
    frames = [f.name for stack in stacks(answer.recording) for f in stack] if answer.recording else []
    assert "cuDNN workspace" in frames
    opens_without_a_warning(answer)


def test_a_recording_asks_for_what_the_run_asks_for() -> None:
    software = Software((2, 15), (13, 0), NO_CUDNN, CudnnSettings(), AllocatorConfig(torch=(2, 15)))
    with Forecast(Traces(lambda _: api.trace_arch("vgg16", SETUP)), software) as forecast:
        timeline, answers, room = forecast.asked(32, CARD)
    for end in End:
        ran = run(timeline, answers, room.machine(end), end)
        recording = record(timeline, answers, room.machine(end), end)
        asked = [e.event.size_bytes for e in recording.entries if e.event.action is Action.ALLOC]
        assert tuple(asked) == ran.requested


def test_a_report_without_a_recording_has_no_snapshot() -> None:
    software = Software((2, 15), (13, 0), NO_CUDNN, CudnnSettings(), AllocatorConfig(torch=(2, 15)))
    with Forecast(Traces(lambda _: api.trace_arch("lenet5", Setup())), software) as forecast:
        plain = report(forecast, 1, [CARD], search=False)
    assert plain.recording is None
    assert plain.series is None
    with pytest.raises(ValueError, match="no recording"):
        views.memory_snapshot(plain)
