"""Sequences of events by hand."""

import pytest

from vggprof.memory.allocator import (
    Alloc,
    AllocatorConfig,
    EmptyCache,
    Free,
    FreeCompleted,
    FreeRequested,
    Mark,
    MarkPoint,
    replay,
)
from vggprof.units import MIB


def test_a_step_with_marks() -> None:
    """30 MiB of weights, 50 MiB of activations that go, 40 MiB that fit into their place."""
    done = replay(
        [
            Alloc(1, 30 * MIB),
            Mark("model"),
            Alloc(2, 50 * MIB),
            Mark("output"),
            Free(2),
            Alloc(3, 40 * MIB),
            Mark("backward"),
        ]
    )
    assert done.fits
    assert done.peak_event == 2
    assert done.marks == (
        MarkPoint("model", 1, 30 * MIB, 30 * MIB, 30 * MIB, 30 * MIB),
        MarkPoint("output", 3, 80 * MIB, 80 * MIB, 80 * MIB, 80 * MIB),
        MarkPoint("backward", 6, 70 * MIB, 80 * MIB, 80 * MIB, 80 * MIB),
    )


def test_stops_at_the_allocation_that_fails() -> None:
    done = replay(
        [Alloc(1, 30 * MIB), Mark("model"), Alloc(2, 50 * MIB), Mark("never")], capacity_bytes=60 * MIB
    )
    assert not done.fits
    assert done.oom_event == 2
    assert done.oom is not None
    assert done.oom.segment_bytes == 50 * MIB
    assert [mark.name for mark in done.marks] == ["model"]


def test_a_limit_comes_from_the_settings_or_from_outside() -> None:
    events = [Alloc(1, 60 * MIB)]
    assert not replay(events, AllocatorConfig(memory_fraction=0.5), total_bytes=100 * MIB).fits
    assert not replay(events, limit_bytes=50 * MIB).fits
    assert replay(events, AllocatorConfig(memory_fraction=0.5)).fits  # a fraction of nothing known


def test_frees_that_wait() -> None:
    waits = (Alloc(1, 30 * MIB), FreeRequested(1), Alloc(2, 30 * MIB), FreeCompleted(1), Alloc(3, 30 * MIB))
    assert replay(waits).stats.reserved_bytes == 60 * MIB


def test_an_emptied_cache() -> None:
    done = replay([Alloc(1, 30 * MIB), Free(1), EmptyCache(), Mark("empty")])
    assert done.marks[0].reserved_bytes == 0
    assert done.stats.peak_reserved_bytes == 30 * MIB


def test_refuses_events_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="event 1: allocation 1 exists already"):
        replay([Alloc(1, 1), Alloc(1, 1)])
    with pytest.raises(ValueError, match="event 0: allocation 7 does not exist"):
        replay([Free(7)])
