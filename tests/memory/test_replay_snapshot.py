"""Snapshots read into values, and what they imply about the time before the recording."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import (
    AllocatorConfig,
    BlockInfo,
    BlockState,
    Segment,
    parse_allocator_config,
)
from vggprof.memory.replay import (
    Action,
    TraceEvent,
    read_snapshot,
    settings_of,
    snapshot_of,
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
            snapshot(device_traces=[[event("alloc", 1, 2**64)]]),
            "size must be a whole number, not 18446744073709551616",
        ),
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
