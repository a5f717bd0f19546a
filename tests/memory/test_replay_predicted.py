"""Predicted traces: written as torch writes them, read by torch's own tools, and replayed exactly."""

import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_viewers import tools

from vggprof.memory.allocator import (
    Alloc,
    AllocatorConfig,
    EmptyCache,
    Event,
    Free,
    FreeCompleted,
    FreeRequested,
    Mark,
    parse_allocator_config,
    replay,
)
from vggprof.memory.replay import (
    Action,
    Frame,
    check_trace,
    predict_trace,
    read_snapshot,
    snapshot_dictionary,
    snapshot_of,
    write_snapshot,
)
from vggprof.units import MIB

STEP: list[Event] = [
    Alloc(1, 30 * MIB),
    Mark("model"),
    Alloc(2, 1000),
    FreeRequested(2),
    Free(1),
    FreeCompleted(2),
    EmptyCache(),
    Alloc(3, 20 * MIB),
]


def test_writes_what_torch_would() -> None:
    found = predict_trace(STEP)
    assert [event.action for event in found.trace.events] == [
        Action.SEGMENT_ALLOC,
        Action.ALLOC,
        Action.SEGMENT_ALLOC,
        Action.ALLOC,
        Action.FREE_REQUESTED,
        Action.FREE_REQUESTED,
        Action.FREE_COMPLETED,
        Action.FREE_COMPLETED,
        Action.SEGMENT_FREE,
        Action.SEGMENT_FREE,
        Action.SEGMENT_ALLOC,
        Action.ALLOC,
    ]
    assert found.sources == (0, 0, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7)
    assert found.replay == replay(STEP)


def test_ends_with_the_oom() -> None:
    found = predict_trace([*STEP, Alloc(4, 90 * MIB - 1), Mark("never")], capacity_bytes=100 * MIB)
    last = found.trace.events[-1]
    assert (last.action, last.size_bytes) == (Action.OOM, 90 * MIB)
    assert found.sources[-1] == found.replay.oom_event == len(STEP)
    assert check_trace(found.trace).complete


def test_frames_go_to_entries_blocks_and_segments() -> None:
    found = predict_trace(STEP)
    stacks = [[Frame(f"conv{source}", "vgg16.yaml", source)] for source in found.sources]
    made = snapshot_dictionary(found.trace, stacks)
    (segment,) = made["segments"]
    assert segment["frames"] == [{"name": "conv7", "filename": "vgg16.yaml", "line": 7}]
    assert segment["blocks"][0]["frames"] == segment["frames"]
    assert made["device_traces"][0][0]["frames"][0]["name"] == "conv0"
    assert snapshot_dictionary(found.trace)["device_traces"][0][0]["frames"] == []


@pytest.mark.parametrize("settings", ["", "expandable_segments:True", "max_split_size_mb:64"])
def test_reads_back_and_replays_to_every_address(settings: str, tmp_path: Path) -> None:
    found = predict_trace(STEP, parse_allocator_config(settings))
    write_snapshot(tmp_path / "out.pickle", found.trace)
    (read,) = read_snapshot(tmp_path / "out.pickle")
    assert (read.events, read.segments, read.config) == (
        found.trace.events,
        found.trace.segments,
        found.trace.config,
    )
    agreement = check_trace(read)
    assert agreement.complete
    assert agreement.allocations == agreement.addresses_matched == 3


def test_torchs_own_tools_read_it_without_a_warning() -> None:
    found = predict_trace([*STEP, Alloc(4, 90 * MIB)], capacity_bytes=100 * MIB)
    stacks = [[Frame("conv1_1", "vgg16.yaml", 3), Frame("forward")] for _ in found.sources]
    made = snapshot_dictionary(found.trace, stacks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = {name: tool(made) for name, tool in tools().items()}
    assert "segments: 1" in said["segsum"]
    assert "OutOfMemoryError" in said["trace"]
    assert "conv1_1" in said["memory"]
    assert all(len(text) > 20 for text in said.values())


PROGRAM = st.lists(st.tuples(st.integers(1, 40 * MIB), st.integers(0, 5)), min_size=1, max_size=25)


@settings(deadline=None)  # a busy machine is no failure
@given(PROGRAM, st.sampled_from([(2, 11), (2, 12), (2, 15)]), st.booleans())
def test_every_prediction_agrees_with_its_own_replay(
    program: list[tuple[int, int]], torch: tuple[int, int], expandable: bool
) -> None:
    events: list[Event] = []
    live: list[int] = []
    for name, (size, victim) in enumerate(program):
        events.append(Alloc(name, size, stream=victim % 2))
        live.append(name)
        if victim < len(live) - 1:
            events.append(Free(live.pop(victim)))
    config = AllocatorConfig(torch=torch, expandable_segments=expandable)
    found = predict_trace(events, config, 200 * MIB)
    (read,) = snapshot_of(snapshot_dictionary(found.trace), "it")
    for trace in (found.trace, read):
        agreement = check_trace(trace, torch=torch)
        assert agreement.disagreement is None
        assert agreement.layout_matched
        assert agreement.addresses_matched == agreement.allocations
