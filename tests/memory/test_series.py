"""What is held over time, by hand and by properties."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.recording import record
from vggprof.memory.run import Machine, run
from vggprof.memory.series import KINDS, Point, Series, Stretch, sampled, series_of
from vggprof.memory.timeline import Allocate, Need, Release, Timeline, TimelineEvent
from vggprof.trace import Kind, Mark, Phase, Setup, Trace
from vggprof.units import GIB, MIB

ENDLESS = Machine(AllocatorConfig())
EXPANDABLE = Machine(AllocatorConfig(expandable_segments=True))


def line(*events: TimelineEvent) -> Timeline:
    """12 MiB and 100 bytes of parameters, 30 MiB of activations, a MiB of scratch."""
    needs = (
        Need(12 * MIB, 12 * MIB, Kind.PARAMETER, None, None, ""),
        Need(100, 100, Kind.PARAMETER, None, None, ""),
        Need(30 * MIB, 30 * MIB, Kind.ACTIVATION, None, None, ""),
        Need(2 * MIB, 2 * MIB, None, None, None, "a rule"),
    )
    return Timeline(Trace("net", Setup(), "2.15.0", (), (), (), (), ()), needs, events)


STEP = line(
    Allocate(0),
    Allocate(1),
    Mark(None, Phase.MODEL),
    Mark(0, Phase.INPUT),
    Allocate(2),
    Allocate(3),
    Release(3),
    Mark(0, Phase.FORWARD),
    Release(2),
    Mark(0, Phase.BACKWARD),
)


def test_every_allocation_and_free_is_a_point() -> None:
    """100 bytes take a block of 512 and a segment of 2 MiB; 2 MiB take a segment of 20."""
    series = series_of(record(STEP, {}, ENDLESS), GIB, fits=True)
    assert [(p.live_bytes, p.allocated_bytes, p.reserved_bytes) for p in series.points] == [
        (12 * MIB, 12 * MIB, 12 * MIB),
        (12 * MIB + 100, 12 * MIB + 512, 14 * MIB),
        (42 * MIB + 100, 42 * MIB + 512, 44 * MIB),
        (44 * MIB + 100, 44 * MIB + 512, 64 * MIB),
        (42 * MIB + 100, 42 * MIB + 512, 64 * MIB),
        (12 * MIB + 100, 12 * MIB + 512, 64 * MIB),
    ]
    most = dict(zip(KINDS, series.points[3].by_kind, strict=True))
    assert {kind: n for kind, n in most.items() if n} == {
        "parameters": 12 * MIB + 512,
        "activations": 30 * MIB,
        "workspaces": 2 * MIB,
    }
    assert series.kinds == ("parameters", "activations", "workspaces")


def test_phases_meet_without_a_gap() -> None:
    series = series_of(record(STEP, {}, ENDLESS), GIB, fits=True)
    assert series.stretches == (
        Stretch(None, "model", 0, 2),
        Stretch(0, "input", 2, 2),
        Stretch(0, "forward", 2, 5),
        Stretch(0, "backward", 5, 6),
    )


@pytest.mark.parametrize("machine", [ENDLESS, EXPANDABLE], ids=["segments", "pages"])
def test_its_peaks_are_those_of_the_run(machine: Machine) -> None:
    recording = record(STEP, {}, machine)
    series, ran = series_of(recording, GIB, fits=True), run(STEP, {}, machine)
    assert series.peak_allocated_bytes == ran.peak_allocated_bytes
    assert series.peak_reserved_bytes == ran.peak_reserved_bytes
    assert series.points[-1].reserved_bytes == sum(s.size_bytes for s in recording.trace.segments)


def test_the_cards_line_is_in_the_picture_where_it_is_near() -> None:
    """64 MiB are reserved: up to 128 the line is drawn, and the picture reaches up to it."""
    series = series_of(record(STEP, {}, ENDLESS), 128 * MIB, fits=True)
    assert (series.near, series.top_bytes) == (True, 128 * MIB)
    far = replace(series, capacity_bytes=128 * MIB + 1)
    assert (far.near, far.top_bytes) == (False, 64 * MIB)
    below = replace(series, capacity_bytes=10 * MIB)
    assert (below.near, below.top_bytes) == (True, 64 * MIB)


def test_nothing_has_no_series() -> None:
    with pytest.raises(ValueError, match="nothing is allocated"):
        series_of(record(line(), {}, ENDLESS), GIB, fits=True)


BYTES = st.integers(0, 10 * GIB)
KIND_BYTES = st.tuples(*[BYTES] * len(KINDS))
POINTS = st.lists(st.tuples(KIND_BYTES, BYTES), min_size=1, max_size=60)


@given(POINTS, st.integers(1, 40), st.integers(0, 60))
def test_fewer_points_keep_every_peak(
    held: list[tuple[tuple[int, ...], int]], columns: int, cut: int
) -> None:
    points = tuple(Point(sum(kinds), sum(kinds), sum(kinds) + cached, kinds) for kinds, cached in held)
    cut = min(cut, len(points))
    stretches = (Stretch(None, "model", 0, cut), Stretch(0, "input", cut, len(points)))
    series = Series(points, stretches, GIB, fits=True)
    fewer = sampled(series, columns)
    assert len(fewer.points) == min(columns, len(points))
    assert max(p.allocated_bytes for p in fewer.points) == series.peak_allocated_bytes
    assert max(p.reserved_bytes for p in fewer.points) == series.peak_reserved_bytes
    assert all(sum(p.by_kind) == p.allocated_bytes <= p.reserved_bytes for p in fewer.points)
    assert fewer.stretches[0].stop == fewer.stretches[1].start
    assert fewer.stretches[-1].stop == len(fewer.points)
    if columns >= len(points):
        assert (fewer.points, fewer.stretches) == (points, stretches)
