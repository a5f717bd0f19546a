"""Where the allocator of a real run parts from the predicted one: by hand, on a predicted run as recorded."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from vggprof.compare.parting import Difference, first_parting
from vggprof.measurement import AllocatorEvent, Memory, MemoryMark
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.recording import Recording, record
from vggprof.memory.run import Machine
from vggprof.memory.timeline import Allocate, Need, Release, Timeline
from vggprof.trace import Kind, Layer, Mark, Operator, Phase, Setup, Trace
from vggprof.units import MIB

Change = Callable[[list[AllocatorEvent]], list[AllocatorEvent]]

# Where the driver put the first segment and the second: not where the prediction has them, nor in its order.
ELSEWHERE = (0x7F0000000000, 0x7E0000000000)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Two blocks of 1 KiB in a segment of 2 MiB, 12 MiB in one of their own; the first block goes early."""
    needs = tuple(Need(size, size, Kind.ACTIVATION, 0, 0, "") for size in (1000, 1024, 12 * MIB))
    operators = (Operator("aten.relu.default", 0, Phase.FORWARD, 0, (), (), ()),)
    layers = (Layer("conv1", "conv1", "Conv2d", (), None, training=True),)
    trace = Trace("net", Setup(), "2.15.0", layers, (), (), operators, ())
    moves = (
        Allocate(0),
        Allocate(1),
        Release(0),
        Allocate(2),
        Mark(0, Phase.FORWARD),
        Release(2),
        Release(1),
    )
    return record(Timeline(trace, needs, moves), {}, Machine(AllocatorConfig()))


def measured(recording: Recording) -> list[AllocatorEvent]:
    """What a GPU's allocator would have recorded of the same, its segments lying elsewhere."""
    starts = [e.event.address for e in recording.entries if e.event.action.value == "segment_alloc"]
    assert len(starts) == 2
    moved = dict(
        zip(sorted(starts), (ELSEWHERE if starts == sorted(starts) else ELSEWHERE[::-1]), strict=True)
    )

    def elsewhere(address: int) -> int:
        start = max(each for each in starts if each <= address)
        return address - start + moved[start]

    return [
        AllocatorEvent(e.event.action.value, e.event.size_bytes, elsewhere(e.event.address))
        for e in recording.entries
    ]


def test_segments_may_lie_anywhere(recording: Recording) -> None:
    events = measured(recording)
    assert [event.action for event in events] == [
        "segment_alloc",
        "alloc",
        "alloc",
        "free_requested",
        "free_completed",
        "segment_alloc",
        "alloc",
        "free_requested",
        "free_completed",
        "free_requested",
        "free_completed",
    ]
    assert first_parting(recording, Memory(events=tuple(events))) is None


def test_requests_to_free_and_notes_are_not_compared(recording: Recording) -> None:
    kept = [event for event in measured(recording) if event.action != "free_requested"]
    noted = [AllocatorEvent("snapshot", 0, None), *kept, AllocatorEvent("user_defined", 0, None)]
    assert first_parting(recording, Memory(events=tuple(noted))) is None


def test_where_addresses_are_not_known_sizes_and_order_are_compared(recording: Recording) -> None:
    events = [replace(event, address=None) for event in measured(recording)]
    assert first_parting(recording, Memory(events=tuple(events))) is None
    events[2] = replace(events[2], size_bytes=1025)
    found = first_parting(recording, Memory(events=tuple(events)))
    assert found is not None
    assert (found.number, found.difference) == (2, Difference.SIZE)


def changed(at: int, **what: object) -> Change:
    return lambda events: [*events[:at], replace(events[at], **what), *events[at + 1 :]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "number", "difference"),
    [
        # Compared are all but the three requests to free (3, 7 and 9 of the recording).
        (changed(1, size_bytes=1512), 1, Difference.SIZE),
        (changed(0, size_bytes=20 * MIB), 0, Difference.SIZE),
        (changed(4, action="alloc"), 3, Difference.ACTION),
        (lambda events: [*events[:5], AllocatorEvent("oom", 12 * MIB, None)], 4, Difference.ACTION),
        (
            changed(2, address=ELSEWHERE[0] + 1536),
            2,
            Difference.ADDRESS,
        ),  # a hole that the prediction has not
        (changed(8, address=ELSEWHERE[0]), 6, Difference.ADDRESS),
        (lambda events: events[:-2], 7, Difference.END),
        (lambda events: [*events, AllocatorEvent("alloc", 512, 1)], 8, Difference.END),
        (lambda events: [], 0, Difference.END),
    ],
)
def test_the_first_difference_is_found(
    recording: Recording, change: Change, number: int, difference: Difference
) -> None:
    found = first_parting(recording, Memory(events=tuple(change(measured(recording)))))
    assert found is not None
    assert (found.number, found.difference) == (number, difference)


def test_the_place_is_that_of_the_prediction_and_the_mark_that_of_the_measurement(
    recording: Recording,
) -> None:
    events = changed(6, size_bytes=13 * MIB)(measured(recording))
    marks = (MemoryMark(None, "model", 0, 0, 0, 0), MemoryMark(0, "input", 0, 0, 0, 0))
    memory = Memory(events=tuple(events), marks=marks, event_marks=(1, 7))
    found = first_parting(recording, memory)
    assert found is not None
    assert found.place is not None
    assert (found.place.step, found.place.phase) == (0, Phase.FORWARD)
    assert (found.place.layer, found.place.op) == ("conv1", "aten.relu.default")
    assert found.predicted is not None
    assert found.predicted.size_bytes == 12 * MIB
    assert found.measured is not None
    assert found.measured.size_bytes == 13 * MIB
    assert found.mark == marks[0]


def test_a_surplus_has_no_place_in_the_prediction(recording: Recording) -> None:
    surplus = AllocatorEvent("alloc", 512, 1)
    found = first_parting(recording, Memory(events=(*measured(recording), surplus)))
    assert found is not None
    assert (found.predicted, found.measured, found.place, found.mark) == (None, surplus, None, None)
