"""A timeline on an allocator, by hand."""

from dataclasses import replace

from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.place import Place
from vggprof.memory.run import End, Machine, MarkPoint, at_peak, run
from vggprof.memory.timeline import Allocate, Ask, Hold, Need, Release, Timeline, TimelineEvent
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Plan
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.trace import Kind, Layer, Mark, Operator, Phase, Setup, Trace
from vggprof.units import MIB

ENDLESS = Machine(AllocatorConfig())


def ask(size: int = 8, *, benchmark: bool = False) -> Workspace:
    image = Strided.contiguous((1, 1, size, size))
    return Workspace(
        CudnnQuery(Pass.FORWARD, "float32", image, image, image, (0, 0), (1, 1), (1, 1), "A"),
        CudnnSettings(benchmark=benchmark),
    )


def plans(*sizes: int) -> Answer:
    offers = tuple(Plan(f"eng{number}", size, (), False) for number, size in enumerate(sizes))
    return Answer(offers, "cuDNN 9", sizes[0], sizes[0])


def need(nbytes: int, kind: Kind | None = Kind.ACTIVATION, high: int | None = None) -> Need:
    return Need(nbytes, nbytes if high is None else high, kind, 0, 0, "")


def line(events: tuple[TimelineEvent, ...], *needs: Need) -> Timeline:
    operators = (
        Operator("aten.convolution.default", 0, Phase.FORWARD, 0, (), (), ()),
        Operator("aten.convolution_backward.default", 0, Phase.BACKWARD, 0, (), (), ()),
    )
    layers = (Layer("conv", "conv", "Conv2d", (), None, training=True),)
    return Timeline(Trace("net", Setup(), "2.15.0", layers, (), (), operators, ()), needs, events)


def capacity(mib: int) -> Machine:
    return Machine(AllocatorConfig(), mib * MIB)


def test_a_workspace_is_part_of_the_peak_and_gone_after_it() -> None:
    """12 MiB of activations take a segment of 12, the workspace of 30 one of 30; only the first stays."""
    events = (Allocate(0), Ask(ask(), 0), Mark(0, Phase.FORWARD))
    timeline = line(events, need(12 * MIB))
    answers = {ask(): plans(30 * MIB)}
    ran = run(timeline, answers, ENDLESS)
    assert (ran.peak_allocated_bytes, ran.peak_reserved_bytes) == (42 * MIB, 42 * MIB)
    assert ran.peak == Place(0, Phase.FORWARD, "conv", "aten.convolution.default")
    assert ran.marks == (MarkPoint(0, "output", 12 * MIB, 42 * MIB),)
    held = at_peak(timeline, answers, ENDLESS, ran).held
    assert [(h.need, h.requested_bytes) for h in held] == [(0, 12 * MIB), (None, 30 * MIB)]


def test_a_plan_that_finds_no_memory_is_passed_over_and_the_next_one_remembered() -> None:
    """On 40 MiB the plan of 30 fails beside 12, the one of 20 runs, and is tried first the next time."""
    timeline = line((Allocate(0), Ask(ask(), 0), Release(0), Ask(ask(), 0)), need(12 * MIB))
    ran = run(timeline, {ask(): plans(30 * MIB, 20 * MIB)}, capacity(40))
    assert ran.fits
    assert ran.peak_allocated_bytes == 32 * MIB
    assert ran.peak_event == 1


def test_the_backward_thread_remembers_plans_of_its_own() -> None:
    timeline = line((Allocate(0), Ask(ask(), 0), Release(0), Ask(ask(), 1)), need(12 * MIB))
    assert run(timeline, {ask(): plans(30 * MIB, 2 * MIB)}, capacity(40)).peak_allocated_bytes == 30 * MIB


def test_it_fails_where_no_plan_is_left() -> None:
    timeline = line((Allocate(0), Ask(ask(), 1)), need(12 * MIB))
    ran = run(timeline, {ask(): plans(300 * MIB, 200 * MIB)}, capacity(40))
    assert ran.failure is not None
    assert ran.failure.place == Place(0, Phase.BACKWARD, "conv", "aten.convolution_backward.default")
    assert ran.failure.oom.requested_bytes == 200 * MIB
    assert ran.failure.message == "GET was unable to find an engine to execute this computation"


def test_where_cudnn_benchmarks_pytorch_names_the_search() -> None:
    """try_plans in Conv_v8.cpp, after get_plans_from_find: no plan fits beside 30 of 40 MiB."""
    asked = ask(benchmark=True)
    ran = run(line((Allocate(0), Ask(asked, 0)), need(30 * MIB)), {asked: plans(300 * MIB)}, capacity(40))
    assert ran.failure is not None
    assert ran.failure.message == "FIND was unable to find an engine to execute this computation"


def test_a_search_is_made_once_and_takes_one_workspace_for_all_plans() -> None:
    """20 MiB for the search, then for the plan that is likely the fastest, which is remembered."""
    asked = ask(benchmark=True)
    ran = run(line((Ask(asked, 0), Ask(asked, 0))), {asked: plans(4 * MIB, 20 * MIB)}, ENDLESS)
    assert ran.requested == (20 * MIB, 4 * MIB, 4 * MIB)


def test_a_search_gives_all_that_is_cached_back() -> None:
    """Of 12 MiB that were freed and 30 for the search nothing stays; the plan takes 30 anew."""
    asked = ask(benchmark=True)
    events = (Allocate(0), Release(0), Ask(asked, 0), Mark(0, Phase.FORWARD))
    ran = run(line(events, need(12 * MIB)), {asked: plans(30 * MIB)}, ENDLESS)
    assert ran.peak_reserved_bytes == 42 * MIB
    assert ran.marks == (MarkPoint(0, "output", 0, 30 * MIB),)


def test_plans_for_which_too_little_is_free_are_not_searched() -> None:
    """Beside 12 of 40 MiB only 28 are free."""
    asked = ask(benchmark=True)
    timeline = line((Allocate(0), Ask(asked, 0)), need(12 * MIB))
    ran = run(timeline, {asked: plans(30 * MIB, 20 * MIB)}, capacity(40))
    assert ran.requested == (12 * MIB, 20 * MIB, 20 * MIB)


def test_what_a_search_cannot_have_it_halves() -> None:
    """A limit of 40 MiB refuses 60 beside 12, and 30, but not 15, into which one plan fits."""
    asked = ask(benchmark=True)
    timeline = line((Allocate(0), Ask(asked, 0)), need(12 * MIB))
    machine = replace(capacity(100), limit_bytes=40 * MIB)
    ran = run(timeline, {asked: plans(60 * MIB, 20 * MIB, 8 * MIB)}, machine)
    assert ran.requested == tuple(size * MIB for size in (12, 60, 30, 15, 8))


def test_an_allocation_that_fails_ends_the_run() -> None:
    ran = run(line((Allocate(0), Allocate(1)), need(30 * MIB), need(20 * MIB)), {}, capacity(40))
    assert ran.failure is not None
    assert (ran.failure.oom.requested_bytes, ran.failure.oom.allocated_bytes) == (20 * MIB, 30 * MIB)
    assert not ran.fits


def test_what_is_kept_is_allocated_once() -> None:
    events = (Hold(0, ("cublas", False)), Hold(1, ("cublas", False)), Hold(2, ("cublas", True)))
    ran = run(line(events, *(need(16 * MIB, None) for _ in range(3))), {}, ENDLESS)
    assert ran.peak_allocated_bytes == 32 * MIB


def test_ends_of_what_is_not_known() -> None:
    """Scratch of 1 to 20 MiB beside an unanswered workspace of 2 to 40: at the low end 2, else 40."""
    timeline = line((Allocate(0), Release(0), Ask(ask(), 0)), need(MIB, None, high=20 * MIB))
    answers = {ask(): NoAnswer("nobody to ask", 2 * MIB, 40 * MIB)}
    peaks = [run(timeline, answers, ENDLESS, end).peak_allocated_bytes for end in End]
    assert peaks == [2 * MIB, 40 * MIB, 40 * MIB]


def test_a_range_over_libraries_has_the_nearest_ones_plan_in_the_middle() -> None:
    answer = Answer(plans(30 * MIB).plans, "cuDNN 9", 2 * MIB, 50 * MIB)
    timeline = line((Ask(ask(), 0),))
    assert [run(timeline, {ask(): answer}, ENDLESS, end).peak_allocated_bytes for end in End] == [
        2 * MIB,
        30 * MIB,
        50 * MIB,
    ]
