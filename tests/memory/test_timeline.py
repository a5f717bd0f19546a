"""Scripts of operators placed among the births and deaths of a trace."""

from vggprof.memory.timeline import Allocate, Ask, Hold, Release, timeline
from vggprof.memory.workspaces.actions import Give, Keep, Output, Script, Take, Unknown, Workspace
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.trace import (
    Argument,
    Born,
    Event,
    Freed,
    Kind,
    Mark,
    Operand,
    Operator,
    Phase,
    Ran,
    Setup,
    Storage,
    Trace,
)

QUERY = CudnnQuery(
    operation=Pass.FORWARD,
    dtype="float32",
    x=Strided.contiguous((1, 1, 8, 8)),
    w=Strided.contiguous((1, 1, 3, 3)),
    y=Strided.contiguous((1, 1, 6, 6)),
    padding=(0, 0),
    stride=(1, 1),
    dilation=(1, 1),
    mode="A",
)
WORKSPACE = Workspace(QUERY, CudnnSettings())


def operand(storage: int) -> Operand:
    return Operand("out", storage, (2,), (1,), "float32")


def operator(
    *outputs: int,
    name: str = "aten.thing.default",
    phase: Phase = Phase.FORWARD,
    arguments: tuple[tuple[str, Argument], ...] = (),
) -> Operator:
    return Operator(name, 0, phase, None, (), tuple(operand(storage) for storage in outputs), arguments)


def trace(operators: tuple[Operator, ...], events: tuple[Event, ...], sizes: tuple[int, ...]) -> Trace:
    storages = tuple(Storage(size, Kind.ACTIVATION, None, 0) for size in sizes)
    return Trace("net", Setup(), "2.15.0", (), (), storages, operators, events)


def test_without_a_rule_the_outputs_are_allocated_in_order() -> None:
    made = trace((operator(0, 1),), (Ran(0), Born(0), Born(1), Freed(0), Mark(0, Phase.FORWARD)), (8, 16))
    line = timeline(made, lambda op: ())
    assert line.events == (Allocate(0), Allocate(1), Release(0), Mark(0, Phase.FORWARD))
    assert [need.high_bytes for need in line.needs] == [8, 16]


def test_a_rule_places_outputs_between_its_own_memory() -> None:
    """The second output comes first, then a workspace, and what the rule leaves out follows at the end."""
    rule: Script = (Take("copy", 100, "why"), Output(1), WORKSPACE, Give("copy"))
    made = trace((operator(0, 1),), (Ran(0), Born(0), Born(1)), (8, 16))
    line = timeline(made, lambda op: rule)
    assert line.events == (Allocate(2), Allocate(1), Ask(WORKSPACE, 0), Release(2), Allocate(0))
    assert (line.needs[2].low_bytes, line.needs[2].source, line.needs[2].kind) == (100, "why", None)
    assert line.asked == (WORKSPACE,)


def test_results_that_nobody_wants_keep_their_positions() -> None:
    """Without a data gradient the weight's is result 1 all the same, and the bias' 2."""
    backward = operator(
        0, 1, name="aten.convolution_backward.default", arguments=(("output_mask", (False, True, True)),)
    )
    made = trace((backward,), (Ran(0), Born(0), Born(1)), (8, 16))
    line = timeline(made, lambda op: (Output(0), Output(1), WORKSPACE))
    assert line.events == (Allocate(0), Ask(WORKSPACE, 0), Allocate(1))


def test_storages_without_bytes_never_reach_the_allocator() -> None:
    made = trace((operator(0, 1),), (Ran(0), Born(0), Born(1), Freed(0), Freed(1)), (0, 4))
    assert timeline(made, lambda op: ()).events == (Allocate(1), Release(1))


def test_what_is_only_bounded_is_taken_and_given_back() -> None:
    made = trace((operator(0),), (Ran(0), Born(0)), (8,))
    line = timeline(made, lambda op: (Unknown("scratch", 10, 20, "why"),))
    assert line.events == (Allocate(1), Release(1), Allocate(0))
    assert (line.needs[1].low_bytes, line.needs[1].high_bytes) == (10, 20)


def test_what_is_kept_is_kept_for_each_thread() -> None:
    made = trace((operator(0), operator(1, phase=Phase.BACKWARD)), (Ran(0), Born(0), Ran(1), Born(1)), (8, 8))
    line = timeline(made, lambda op: (Keep("cublas", 100, "why"),))
    assert [event for event in line.events if isinstance(event, Hold)] == [
        Hold(2, ("cublas", False)),
        Hold(3, ("cublas", True)),
    ]
