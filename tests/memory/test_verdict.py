"""Verdicts on small timelines and small cards, by hand."""

from dataclasses import replace

import pytest

from vggprof.devices import Range, custom_device
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.composition import Composition, compose
from vggprof.memory.place import Place
from vggprof.memory.run import End, Machine, run
from vggprof.memory.timeline import Allocate, Ask, Need, Release, Timeline
from vggprof.memory.verdict import Prediction, Room, Status, _is_exact, _status, fits, predict, surely_fits
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Plan
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.trace import Kind, Layer, Mark, Operator, Phase, Setup, Trace
from vggprof.units import MIB

IMAGE = Strided.contiguous((1, 1, 8, 8))
WORKSPACE = Workspace(
    CudnnQuery(Pass.WGRAD, "float32", IMAGE, IMAGE, IMAGE, (0, 0), (1, 1), (1, 1), "A"), CudnnSettings()
)
ANSWER = Answer((Plan("eng1", 20 * MIB, (), False),), "cuDNN 9", 20 * MIB, 20 * MIB)
NOBODY = NoAnswer("nobody to ask", 0, 20 * MIB)


def small_timeline() -> Timeline:
    """64 MiB of parameters, 32 of activations, then a workspace: a peak of 96 MiB and the workspace."""
    operators = (
        Operator("aten.relu.default", 0, Phase.FORWARD, 0, (), (), ()),
        Operator("aten.convolution_backward.default", 0, Phase.BACKWARD, 0, (), (), ()),
    )
    layers = (Layer("conv", "conv", "Conv2d", (), None, training=True),)
    needs = (
        Need(64 * MIB, 64 * MIB, Kind.PARAMETER, 0, None, ""),
        Need(32 * MIB, 32 * MIB, Kind.ACTIVATION, 0, 0, ""),
    )
    events = (Allocate(0), Mark(None, Phase.MODEL), Allocate(1), Ask(WORKSPACE, 1), Mark(0, Phase.BACKWARD))
    return Timeline(Trace("net", Setup(), "2.15.0", layers, (), (), operators, ()), needs, events)


def room(mib: int, *, context: Range | None = None, others: int = 0) -> Room:
    """A card of *mib* usable; the process needs 100 MiB outside the allocator unless said otherwise."""
    device = replace(custom_device(mib * MIB), usable=Range.exact(mib * MIB))
    return Room(
        device, AllocatorConfig(), context or Range.exact(100 * MIB), held_by_others_bytes=others * MIB
    )


def predicted(room: Room, answer: Answer | NoAnswer = ANSWER) -> Prediction:
    return predict(small_timeline(), {WORKSPACE: answer}, room)


def composed(room: Room, answer: Answer | NoAnswer = ANSWER) -> Composition:
    return compose(small_timeline(), {WORKSPACE: answer}, predicted(room, answer))


@pytest.mark.parametrize(
    ("mib", "status", "spare"),
    # 64 + 32 + 20 MiB reserved and 100 of context: 216 MiB.
    [(216, Status.FITS, 0), (300, Status.FITS, 84), (215, Status.OOM, -1), (150, Status.OOM, -66)],
)
def test_known_needs_fit_or_fail_at_the_last_byte(mib: int, status: Status, spare: int) -> None:
    prediction = predicted(room(mib))
    assert (prediction.status, prediction.spare_bytes) == (status, spare * MIB)
    assert prediction.process.likely == 216 * MIB


def test_memory_that_others_hold_is_gone() -> None:
    assert predicted(room(316, others=100)).status is Status.FITS
    assert predicted(room(316, others=101)).status is Status.OOM


def test_between_the_ends_it_is_tight() -> None:
    """216 MiB are needed at the likely context; 196 at its low end, 266 at its high end."""
    context = Range(80 * MIB, 100 * MIB, 150 * MIB)
    assert [predicted(room(mib, context=context)).status for mib in (266, 265, 196, 195)] == [
        Status.FITS,
        Status.TIGHT,
        Status.TIGHT,
        Status.OOM,
    ]


@pytest.mark.parametrize("answer", [ANSWER, NOBODY])
@pytest.mark.parametrize("mib", [196, 215, 216, 235, 236, 255, 256, 265, 266, 267])
def test_what_surely_fits_is_what_gets_that_verdict(mib: int, answer: Answer | NoAnswer) -> None:
    """With the workspace 196, 216 or 266 MiB are needed, by the context; without one 20 less."""
    place, line = room(mib, context=Range(80 * MIB, 100 * MIB, 150 * MIB)), small_timeline()
    verdict = predict(line, {WORKSPACE: answer}, place).status
    assert surely_fits(line, {WORKSPACE: answer}, place) is (verdict is Status.FITS)
    assert fits(line, {WORKSPACE: answer}, place) is (mib >= 216)


def test_what_fits_after_a_retry_may_not_fit_with_more_room() -> None:
    """100 MiB come and go; 102, 40 and 40 follow, the first 40 go, and 50 are asked for.

    On 200 MiB, the high end, a retry gives the 100 back for the 102, and another one the 40 for the 50. On
    204, the likely end, the 102 fit beside the 100, in which both 40 find place: it cannot be given back, and
    there is neither room for 50 more than 202 nor for them in the 40 and 20 that are free in it.
    """
    needs = tuple(
        Need(size * MIB, size * MIB, Kind.PARAMETER, 0, None, "") for size in (100, 102, 40, 40, 50)
    )
    events = (Allocate(0), Release(0), Allocate(1), Allocate(2), Allocate(3), Release(2), Allocate(4))
    line = replace(small_timeline(), needs=needs, events=events)
    place = room(300, context=Range(90 * MIB, 96 * MIB, 100 * MIB))
    assert run(line, {}, place.machine(End.HIGH), End.HIGH).retries == 2
    assert predict(line, {}, place).status is Status.TIGHT
    assert not surely_fits(line, {}, place)


def test_a_missing_answer_is_a_range_and_not_a_guess() -> None:
    prediction = predicted(room(1000), NOBODY)
    reserved = prediction.peak_reserved
    assert (reserved.low, reserved.likely) == (96 * MIB, None)
    assert reserved.high == 136 * MIB  # one workspace more than the 20 MiB, which nothing could reuse
    assert prediction.process.likely is None
    assert prediction.spare_bytes == 900 * MIB - reserved.high
    assert [predicted(room(mib), NOBODY).status for mib in (216, 215, 196, 195)] == [
        Status.FITS,
        Status.TIGHT,
        Status.TIGHT,
        Status.OOM,
    ]


def test_the_peak_is_divided_without_rest() -> None:
    prediction, composition = predicted(room(300)), composed(room(300))
    assert prediction.peak_allocated.likely == 116 * MIB
    assert sum(composition.breakdown_bytes.values()) == sum(composition.layer_bytes.values()) == 116 * MIB
    assert {kind: n for kind, n in composition.breakdown_bytes.items() if n} == {
        "parameters": 64 * MIB,
        "activations": 32 * MIB,
        "workspaces": 20 * MIB,
    }
    assert prediction.shown.peak == Place(0, Phase.BACKWARD, "conv", "aten.convolution_backward.default")


def test_fragmentation_is_that_at_the_peak_of_what_is_allocated() -> None:
    """100 and 102 MiB are the peak, in two segments without rest. They go; 40 leave 60 of the first, 61 leave
    41 of the second, and 62 take a third: 264 MiB are reserved then, though only 163 allocated.
    """
    sizes = (100, 102, 40, 61, 62)
    needs = tuple(Need(size * MIB, size * MIB, Kind.PARAMETER, 0, None, "") for size in sizes)
    events = (Allocate(0), Allocate(1), Release(0), Release(1), Allocate(2), Allocate(3), Allocate(4))
    line = replace(small_timeline(), needs=needs, events=events)
    prediction = predict(line, {}, room(1000))
    peaks = prediction.peak_allocated.likely, prediction.peak_reserved.likely
    assert peaks == (202 * MIB, 264 * MIB)
    assert compose(line, {}, prediction).fragmentation_bytes == 0


def test_out_of_memory_says_where_and_in_pytorchs_words() -> None:
    prediction = predicted(room(190))
    assert prediction.failure is not None
    assert prediction.failure.place == Place(0, Phase.FORWARD, "conv", "aten.relu.default")
    assert prediction.failure.oom.requested_bytes == 32 * MIB
    message = prediction.oom_message or ""
    assert message.startswith(
        "CUDA out of memory. Tried to allocate 32.00 MiB. GPU 0 has a total capacity of 190.00"
    )
    assert "64.00 MiB is allocated by PyTorch" in message


def test_an_out_of_memory_that_is_sure_is_where_the_least_would_fail() -> None:
    """90 MiB are left at the low end of the context, where activations fail; at the high end not even 64."""
    prediction = predicted(room(170, context=Range(80 * MIB, 100 * MIB, 150 * MIB)))
    assert prediction.status is Status.OOM
    assert prediction.failure is not None
    assert prediction.failure.place.op == "aten.relu.default"


def test_workspaces_are_listed_with_their_source() -> None:
    (row,) = composed(room(300)).workspaces
    assert (row.layer, row.which, row.nbytes, row.source) == ("conv", "wgrad", 20 * MIB, "cuDNN 9")
    (row,) = composed(room(300), NOBODY).workspaces
    assert (row.nbytes, row.low_bytes, row.high_bytes, row.source) == (None, 0, 20 * MIB, "nobody to ask")


def test_a_benchmarked_plan_is_a_range() -> None:
    """Of plans of 20 and 2 MiB either may be the fastest; the search itself takes 20 for a moment."""
    ask = replace(WORKSPACE, settings=CudnnSettings(benchmark=True))
    timeline = replace(small_timeline(), events=(Allocate(0), Allocate(1), Ask(ask, 1), Ask(ask, 1)))
    plans = (Plan("eng1", 20 * MIB, (), False), Plan("eng2", 2 * MIB, (), False))
    answers = {ask: Answer(plans, "cuDNN 9", 20 * MIB, 20 * MIB)}
    prediction = predict(timeline, answers, room(1000))
    assert not _is_exact(timeline, answers)
    runs = [run(timeline, answers, Machine(AllocatorConfig()), end) for end in (End.LOW, End.HIGH)]
    assert [ran.requested[-1] for ran in runs] == [2 * MIB, 20 * MIB]
    assert prediction.process.high <= prediction.usable_bytes


@pytest.mark.parametrize(
    ("low", "likely", "high", "status"),
    [
        (True, True, True, Status.FITS),
        (True, False, True, Status.TIGHT),  # with less room blocks come in another order, which may fit
        (True, True, False, Status.TIGHT),
        (False, True, True, Status.TIGHT),
        (False, False, False, Status.OOM),
    ],
)
def test_a_verdict_is_sure_only_where_every_end_agrees(
    *, low: bool, likely: bool, high: bool, status: Status
) -> None:
    fitting = predicted(room(500)).shown
    failing = replace(fitting, failure=predicted(room(150)).failure)
    ends = zip(End, (low, likely, high), strict=True)
    assert _status({end: fitting if fits else failing for end, fits in ends}) is status
