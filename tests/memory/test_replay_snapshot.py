"""Snapshots read into values, and what they imply about the time before the recording."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    BlockInfo,
    BlockState,
    Segment,
    parse_allocator_config,
)
from vggprof.memory.replay import (
    Action,
    DeviceTrace,
    TraceEvent,
    read_snapshot,
    settings_of,
    snapshot_of,
    starting_segments,
)
from vggprof.units import MIB

BASE = 0x7F00_0000_0000


def segment(**changes: object) -> dict[str, Any]:
    """A small segment of torch's form with one block in use."""
    return {
        "device": 0,
        "address": BASE,
        "total_size": 2 * MIB,
        "stream": 0,
        "segment_type": "small",
        "segment_pool_id": (0, 0),
        "is_expandable": False,
        "frames": [],
        "blocks": [
            {"address": BASE, "size": 512, "requested_size": 100, "state": "active_allocated", "frames": []},
            {"address": BASE + 512, "size": 2 * MIB - 512, "requested_size": 0, "state": "inactive"},
        ],
        **changes,
    }


def event(action: str, address: int, length: int, **changes: object) -> dict[str, Any]:
    return {"action": action, "addr": address, "size": length, "stream": 0, "frames": [], **changes}


def snapshot(**changes: object) -> dict[str, Any]:
    alloc = event("alloc", BASE, 100)
    return {
        "segments": [segment()],
        "device_traces": [[event("segment_alloc", BASE, 2 * MIB), alloc]],
        **changes,
    }


def test_reads_a_snapshot() -> None:
    (trace,) = snapshot_of(snapshot(), "it")
    assert trace.device == 0
    assert trace.events == (
        TraceEvent(Action.SEGMENT_ALLOC, BASE, 2 * MIB, 0),
        TraceEvent(Action.ALLOC, BASE, 100, 0),
    )
    blocks = (
        BlockInfo(BASE, 512, 100, BlockState.ALLOCATED),
        BlockInfo(BASE + 512, 2 * MIB - 512, 0, BlockState.INACTIVE),
    )
    assert trace.segments == (Segment(BASE, 2 * MIB, 0, True, False, blocks),)
    assert trace.config is None


def test_reads_every_action_torch_writes() -> None:
    words = [action.value for action in Action]
    entries = [event(word, BASE, 512) for word in words]
    entries[words.index("oom")] = {"action": "oom", "device_free": 77, "size": 512, "stream": 3}
    (trace,) = snapshot_of(snapshot(device_traces=[entries]), "it")
    assert [each.action.value for each in trace.events] == words
    assert trace.events[words.index("oom")] == TraceEvent(Action.OOM, 77, 512, 3)


def test_older_files_lack_addresses_and_requested_sizes_of_blocks() -> None:
    blocks = [{"size": 512, "state": "active_awaiting_free"}, {"size": 2 * MIB - 512, "state": "inactive"}]
    (trace,) = snapshot_of(snapshot(segments=[segment(blocks=blocks)]), "it")
    assert trace.segments[0].blocks[0] == BlockInfo(BASE, 512, 0, BlockState.AWAITING_FREE)
    assert trace.segments[0].blocks[1].address == BASE + 512


def test_devices_without_anything_are_left_out() -> None:
    other = segment(device=2, address=BASE + 4 * MIB, blocks=[{"size": 2 * MIB, "state": "inactive"}])
    traces = snapshot_of(
        snapshot(segments=[segment(), other], device_traces=[[], [event("alloc", 0, 1)]]), "it"
    )
    assert [(trace.device, len(trace.events), len(trace.segments)) for trace in traces] == [
        (0, 0, 1),
        (1, 1, 0),
        (2, 0, 1),
    ]


def test_settings_come_from_the_file_or_from_the_segments() -> None:
    settings = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64", "expandable_segments": False}
    (trace,) = snapshot_of(snapshot(allocator_settings=settings), "it")
    assert settings_of(trace) == parse_allocator_config("max_split_size_mb:64")
    (plain,) = snapshot_of(snapshot(), "it")
    assert settings_of(plain) == AllocatorConfig()
    (grown,) = snapshot_of(snapshot(segments=[segment(is_expandable=True)]), "it")
    assert settings_of(grown) == AllocatorConfig(expandable_segments=True)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "it: the snapshot must be a dictionary, not list"),
        ({}, "it: has no device_traces"),
        ({"device_traces": []}, "it: has no segments"),
        ({"device_traces": [], "segments": {}}, "it: segments must be a list"),
        ({"device_traces": [[]], "segments": []}, "it: holds no segments and no trace"),
        (snapshot(device_traces=[{}]), "it: device_traces[0] must be a list"),
        (snapshot(device_traces=[[3]]), "it: device_traces[0][0] must be a dictionary"),
        (
            snapshot(device_traces=[[event("aloc", 1, 1)]]),
            "it: device_traces[0][0]: unknown action 'aloc'; did you mean 'alloc'?",
        ),
        (snapshot(device_traces=[[{"action": None}]]), "device_traces[0][0]: unknown action None"),
        (
            snapshot(device_traces=[[event("alloc", -1, 1)]]),
            "it: device_traces[0][0]: addr must be a whole number, not -1",
        ),
        (snapshot(device_traces=[[event("alloc", 1, True)]]), "size must be a whole number, not True"),
        (
            snapshot(device_traces=[[event("alloc", 1, 1, size="x" * 99)]]),
            "size must be a whole number, not 'xxx",
        ),
        (snapshot(device_traces=[[{"action": "alloc", "addr": 1}]]), "size must be a whole number, not None"),
        (snapshot(device_traces=[[event("alloc", 1, 1, pool_id=(0, 3))]]), "memory pools of CUDA graphs"),
        (
            snapshot(segments=[segment(segment_pool_id=(0, 1))]),
            "it: segments[0]: memory pools of CUDA graphs",
        ),
        (
            snapshot(segments=[segment(segment_type="tiny")]),
            "segment_type must be 'small' or 'large', not 'tiny'",
        ),
        (snapshot(segments=[segment(total_size=4 * MIB)]), "its blocks do not add up to total_size"),
        (snapshot(segments=[segment(blocks=[7])]), "it: segments[0].blocks[0] must be a dictionary, not int"),
        (snapshot(segments=[segment(blocks=[{"size": 2 * MIB, "state": "lost"}])]), "unknown state 'lost'"),
        (
            snapshot(segments=[segment(blocks=[{"size": 2 * MIB, "state": "inactive", "address": 5}])]),
            "the blocks of a segment must follow one another",
        ),
        (snapshot(segments=[segment(segment_pool_id=5)]), "it: segments[0]: memory pools of CUDA graphs"),
        (
            snapshot(allocator_settings={"PYTORCH_CUDA_ALLOC_CONF": "max_split:3"}),
            "it: allocator_settings: unknown option 'max_split'; did you mean 'max_split_size_mb'?",
        ),
    ],
)
def test_refuses_in_one_line(data: object, said: str) -> None:
    with pytest.raises(FileFormatError) as refused:
        snapshot_of(data, "it")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.pickle"
    path.write_bytes(pickle.dumps(snapshot()))
    assert read_snapshot(path) == snapshot_of(snapshot(), "it")
    path.write_bytes(pickle.dumps({"segments": 1}))
    with pytest.raises(FileFormatError, match=r"run\.pickle: has no device_traces"):
        read_snapshot(path)


def recorded(allocator: Allocator, events: list[TraceEvent]) -> DeviceTrace:
    return DeviceTrace(0, tuple(events), allocator.segments(), allocator.config)


def take(allocator: Allocator, size: int) -> Block:
    block = allocator.malloc(size)
    assert isinstance(block, Block)
    return block


def test_what_was_freed_during_the_recording_was_there_before() -> None:
    allocator = Allocator()
    kept, freed = take(allocator, 3 * MIB), take(allocator, 4 * MIB)
    before, at = allocator.segments(), freed.address  # a block that is free may move
    allocator.free(freed)
    later = take(allocator, 5 * MIB)
    trace = recorded(
        allocator,
        [
            TraceEvent(Action.FREE_REQUESTED, at, 4 * MIB, 0),
            TraceEvent(Action.FREE_COMPLETED, at, 4 * MIB, 0),
            TraceEvent(Action.ALLOC, later.address, 5 * MIB, 0),
        ],
    )
    assert starting_segments(trace, AllocatorConfig()) == before
    assert kept.address < later.address == at


def test_a_free_that_was_only_asked_for_before() -> None:
    """The recording begins between the request and its completion."""
    allocator = Allocator()
    block = take(allocator, 600)
    allocator.request_free(block)
    before = allocator.segments()
    allocator.complete_free(block)
    trace = recorded(allocator, [TraceEvent(Action.FREE_COMPLETED, block.address, 600, 0)])
    (segment_before,) = starting_segments(trace, AllocatorConfig())
    assert segment_before.blocks[0] == before[0].blocks[0]
    assert segment_before.blocks[0].state is BlockState.AWAITING_FREE


def test_segments_that_went_and_came() -> None:
    """One segment of 30 MiB was cached and went, one of 40 came."""
    allocator = Allocator()
    gone = take(allocator, 30 * MIB)
    allocator.free(gone)
    before = allocator.segments()
    allocator.empty_cache()
    new = take(allocator, 40 * MIB)
    trace = recorded(
        allocator,
        [
            TraceEvent(Action.SEGMENT_FREE, gone.address, 30 * MIB, 0),
            TraceEvent(Action.SEGMENT_ALLOC, new.address, 40 * MIB, 0),
            TraceEvent(Action.ALLOC, new.address, 40 * MIB, 0),
        ],
    )
    (found,) = starting_segments(trace, AllocatorConfig())
    assert (found.address, found.size_bytes, found.is_small) == (before[0].address, 30 * MIB, False)
    assert [block.state for block in found.blocks] == [BlockState.INACTIVE]


def test_an_unsplit_rest_belongs_to_its_block() -> None:
    """19 MiB were asked of a segment of 20; the rest of 1 MiB was not split off."""
    allocator = Allocator()
    block = take(allocator, 19 * MIB)
    before = allocator.segments()
    allocator.free(block)
    trace = recorded(allocator, [TraceEvent(Action.FREE_COMPLETED, block.address, 19 * MIB, 0)])
    assert (
        starting_segments(trace, AllocatorConfig())[0].blocks[0].size_bytes == before[0].blocks[0].size_bytes
    )


def test_an_unsplit_rest_shows_where_the_next_block_was_cut() -> None:
    """A block of 11.5 MiB was taken out of 12 free ones: its rest of 0.5 MiB is not split off.

    Of its segment of 20 MiB the last 8 are free then, so that what lies behind the block's 11.5 MiB could be
    a free block of 8.5. Only the next allocation, 0.5 MiB further on, tells.
    """
    allocator = Allocator()
    wide, behind = take(allocator, 20 * MIB), take(allocator, 20 * MIB)
    allocator.free(wide)
    first, second = take(allocator, 12 * MIB), take(allocator, 8 * MIB)
    allocator.free(first)
    narrow = take(allocator, 11 * MIB + MIB // 2)
    allocator.free(second)
    before = allocator.segments()
    assert before[0].blocks[0].size_bytes == 12 * MIB
    cut = take(allocator, 2 * MIB)
    allocator.free(narrow)
    events = [
        TraceEvent(Action.ALLOC, cut.address, 2 * MIB, 0),
        TraceEvent(Action.FREE_COMPLETED, narrow.address, 11 * MIB + MIB // 2, 0),
    ]
    found = starting_segments(recorded(allocator, events), AllocatorConfig())
    assert [[b.size_bytes for b in s.blocks] for s in found] == [
        [b.size_bytes for b in s.blocks] for s in before
    ]
    assert behind.allocated


def test_mapped_pages_are_taken_back() -> None:
    config = AllocatorConfig(expandable_segments=True)
    allocator = Allocator(config)
    first = take(allocator, 20 * MIB)
    before = allocator.segments()
    second = take(allocator, 30 * MIB)
    events = [
        TraceEvent(Action.SEGMENT_MAP, second.address, 40 * MIB, 0),
        TraceEvent(Action.ALLOC, second.address, 30 * MIB, 0),
    ]
    assert starting_segments(recorded(allocator, events), config) == before
    allocator.free(second)
    allocator.free(first)
    held = allocator.segments()
    allocator.empty_cache()
    gone = [TraceEvent(Action.SEGMENT_UNMAP, first.address, 60 * MIB, 0)]
    (found,) = starting_segments(DeviceTrace(0, tuple(gone), (), config), config)
    assert (found.address, found.size_bytes) == (held[0].address, held[0].size_bytes)


@pytest.mark.parametrize(
    "contradiction",
    [
        TraceEvent(Action.ALLOC, BASE + 4096, 100, 0),  # nothing is there at the end, and nothing freed it
        TraceEvent(Action.FREE_REQUESTED, BASE + 4096, 100, 0),
        TraceEvent(Action.SEGMENT_ALLOC, BASE + 4096, 2 * MIB, 0),
        TraceEvent(Action.SEGMENT_MAP, BASE + 4096, 2 * MIB, 0),
    ],
)
def test_a_trace_that_contradicts_its_end(contradiction: TraceEvent) -> None:
    (trace,) = snapshot_of(snapshot(), "it")
    wrong = DeviceTrace(0, (*trace.events, contradiction), trace.segments, None)
    with pytest.raises(
        FileFormatError, match=r"device_traces\[0\]\[2\]: \w+ at 0x7f\w+ contradicts what follows"
    ):
        starting_segments(wrong, AllocatorConfig())


def test_a_block_outside_every_segment() -> None:
    trace = DeviceTrace(0, (TraceEvent(Action.FREE_COMPLETED, BASE, 100, 0),), (), None)
    with pytest.raises(FileFormatError, match=r"the block at 0x7f0000000000 lies in no segment"):
        starting_segments(trace, AllocatorConfig())
