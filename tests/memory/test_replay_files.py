"""Files of recorded runs, of both kinds, and files that are not what they seem."""

import gzip
import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vggprof.errors import FileFormatError
from vggprof.memory.replay import files
from vggprof.memory.replay.files import replay_file
from vggprof.units import MIB

BASE = 0x7F00_0000_0000


def event(action: str, address: int, length: int) -> dict[str, Any]:
    return {"action": action, "addr": address, "size": length, "stream": 0}


def snapshot(*traces: Sequence[dict[str, Any]], **others: object) -> dict[str, Any]:
    return {"segments": [], "device_traces": [list(trace) for trace in traces], **others}


def block(address: int, size: int, state: str = "inactive", requested: int = 0) -> dict[str, Any]:
    return {"address": address, "size": size, "requested_size": requested, "state": state}


def segment(*blocks: dict[str, Any], device: int = 0) -> dict[str, Any]:
    return {
        "device": device,
        "address": blocks[0]["address"],
        "total_size": sum(one["size"] for one in blocks),
        "stream": 0,
        "segment_type": "small",
        "segment_pool_id": (0, 0),
        "is_expandable": False,
        "blocks": list(blocks),
    }


# A segment comes, 100 bytes are taken at its start, 600 behind them, and the first are given back.
EVENTS = (
    event("segment_alloc", BASE, 2 * MIB),
    event("alloc", BASE, 100),
    event("alloc", BASE + 512, 600),
    event("free_requested", BASE, 100),
    event("free_completed", BASE, 100),
)
# So the 600 bytes are left, in 1,024.
END = segment(
    block(BASE, 512),
    block(BASE + 512, 1024, "active_allocated", 600),
    block(BASE + 1536, 2 * MIB - 1536),
)


def put(path: Path, data: object) -> Path:
    path.write_bytes(pickle.dumps(data))
    return path


def pack(path: Path, *rows: object) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_a_snapshot_has_a_run_for_each_device(tmp_path: Path) -> None:
    told = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128"}
    other = segment(block(BASE, 2 * MIB), device=2)
    path = put(tmp_path / "a.pickle", snapshot(EVENTS, [], segments=[END, other], allocator_settings=told))
    found = replay_file(path)
    assert [run.name for run in found.runs] == ["device 0", "device 2"]
    assert (found.allocations, found.addresses_matched) == (2, 2)
    assert (found.segments_recorded, found.segments_matched) == (1, 1)
    assert found.complete
    assert found.first_disagreement is None
    assert all(run.settings_told and run.max_split_bytes == 128 * MIB for run in found.runs)


def test_what_a_snapshot_does_not_tell_is_torchs_default(tmp_path: Path) -> None:
    (run,) = replay_file(put(tmp_path / "a.pickle", snapshot(EVENTS, segments=[END]))).runs
    assert (run.settings_told, run.setup, run.max_split_bytes) == (False, (), None)
    assert run.agreement.stats.allocated_bytes == 1024


def test_an_event_file_has_a_run_for_each_recording(tmp_path: Path) -> None:
    taken = [["s", 2 * MIB, BASE], ["a", 100, BASE]]
    marks = [["start", 0], ["model", 2]]
    path = pack(
        tmp_path / "memory-events.jsonl.gz",
        {"config": {"net": "tiny", "batch": 2}, "events": taken, "marks": marks},
        {
            "config": {"net": "tiny"},
            "fits": {"events": taken},
            "fails": {"events": [*taken, ["a", 100, BASE + 4096]]},
        },
    )
    found = replay_file(path)
    assert [run.name for run in found.runs] == ["run 1", "run 2 fits", "run 3 fails"]
    assert found.runs[0].setup == (("net", "tiny"), ("batch", 2))
    assert [mark.allocated_bytes for mark in found.runs[0].agreement.marks] == [0, 512]
    # 4,096 bytes into the segment though the next free byte is at 512.
    assert (found.allocations, found.addresses_matched) == (4, 3)
    assert (found.segments_recorded, found.segments_matched) == (3, 3)
    assert found.first_disagreement is found.runs[2]
    assert not found.complete


def test_settings_of_a_run_are_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    row = '{"config": {"a": NaN, "b": [1, 2], "c": true, "d": null, "e": 0.5}, "events": []}\n'
    path.write_bytes(gzip.compress(row.encode()))
    assert replay_file(path).runs[0].setup == (
        ("a", "nan"),
        ("b", "[1, 2]"),
        ("c", True),
        ("d", None),
        ("e", 0.5),
    )


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="nowhere: No such file"):
        replay_file(tmp_path / "nowhere")
    with pytest.raises(FileFormatError, match="not a file; name a pickled snapshot"):
        replay_file(tmp_path)
    with pytest.raises(FileFormatError, match="null"):
        replay_file("a\0b")
    with pytest.raises(FileFormatError, match="not a whole pickle"):
        replay_file(_empty(tmp_path / "empty"))


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices have names there")
def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FileFormatError, match="not a file"):
            replay_file(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(b"{}\n"), "1: a row needs a config"),
        (gzip.compress(b""), "holds no runs"),
        (gzip.compress(b"[" * 100_000), "nested too deeply"),
        (gzip.compress(b"\x80\x04"), "not JSON lines"),
        (gzip.compress(b'{"config": {}, "events": [["a", 0, 512]]}'), "event 0 must be"),
        (gzip.compress(b'{"config": {}, "events": []}')[:-10], "not a whole gzip file"),
        (b"\x1f\x8b", "not a whole gzip file"),
    ],
)
def test_event_files_that_are_none(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=problem) as caught:
        replay_file(path)
    assert str(caught.value).startswith(f"{path}:")
    assert len(str(caught.value).splitlines()) == 1


def test_a_small_file_that_unpacks_to_a_huge_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 10 * MIB)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(11 * MIB), 1))
    assert path.stat().st_size < MIB
    with pytest.raises(FileFormatError, match=r"bomb\.gz: unpacks to more than 10485760 bytes"):
        replay_file(path)


@pytest.mark.parametrize(
    ("trace", "end", "problem"),
    [
        ([event("alloc", BASE, 0)], [], "an allocation of 0 bytes"),
        ([event("alloc", BASE, 512)], [], "alloc at 0x7f0000000000 contradicts what follows"),
        # Pages that go from the middle of a segment that is still there at the end.
        ([event("segment_unmap", BASE + 512, 512)], [END], "segment_unmap at 0x7f0000000200 contradicts"),
        ([event("segment_free", BASE + 512, 512)], [END], "segment_free at 0x7f0000000200 contradicts"),
    ],
)
def test_recordings_that_contradict_themselves(
    trace: list[dict[str, Any]], end: list[dict[str, Any]], problem: str, tmp_path: Path
) -> None:
    path = put(tmp_path / "a.pickle", snapshot(trace, segments=end))
    with pytest.raises(FileFormatError, match=problem) as caught:
        replay_file(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_device_of_any_number_takes_no_time(tmp_path: Path) -> None:
    path = put(tmp_path / "a.pickle", snapshot(segments=[segment(block(BASE, 2 * MIB), device=2**62)]))
    assert [run.name for run in replay_file(path).runs] == [f"device {2**62}"]


ACTIONS = ("alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "segment_map")
ODD = st.sampled_from([0, 1, 512, 1024, 2 * MIB, 2**63, -1, None, "x", (), True])
ENTRIES = st.builds(
    event,
    st.sampled_from([*ACTIONS, "segment_unmap", "oom", "snapshot"]),
    st.sampled_from([BASE, BASE + 512, BASE + 1024, BASE + 2 * MIB]),
    st.sampled_from([1, 512, 1024, 2 * MIB]),
)


@given(
    entries=st.lists(ENTRIES, max_size=6),
    at=st.integers(0, 11),
    key=st.sampled_from(["action", "addr", "size", "stream"]),
    odd=ODD,
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_trace_is_replayed_or_refused(
    entries: list[dict[str, Any]], at: int, key: str, odd: object, tmp_path: Path
) -> None:
    """Entries of any kind behind the true ones, and one value of them replaced: never another error."""
    trace = [dict(one) for one in (*EVENTS, *entries)]
    if at < len(trace):
        trace[at][key] = odd
    path = put(tmp_path / "a.pickle", snapshot(trace, segments=[END]))
    try:
        found = replay_file(path)
    except FileFormatError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert 0 <= found.addresses_matched <= found.allocations
        assert 0 <= found.segments_matched <= found.segments_recorded


def _empty(path: Path) -> Path:
    path.touch()
    return path
