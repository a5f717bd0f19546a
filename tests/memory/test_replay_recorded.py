"""Event files of recorded reference trainings."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import Allocator, AllocatorConfig, Block, OutOfMemory, SegmentAction
from vggprof.memory.replay import Action, check_trace, read_recorded
from vggprof.units import MIB


def write(path: Path, *rows: object) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def events_of(limit: int) -> tuple[list[list[Any]], list[list[Any]]]:
    """Three steps as the recorder writes them: 30 MiB of weights, activations that come and go, until memory
    is out.
    """
    events: list[list[Any]] = []

    def hear(action: SegmentAction, address: int, size: int, stream: int) -> None:
        events.append(["s" if action is SegmentAction.ALLOC else "r", size, address])

    def take(size: int) -> Block | None:
        block = allocator.malloc(size)
        if isinstance(block, OutOfMemory):
            events.append(["o", block.rounded_bytes, None])
            return None
        events.append(["a", size, block.address])
        return block

    allocator = Allocator(capacity_bytes=limit, listener=hear)
    take(30 * MIB)
    marks = [["model", len(events)]]
    for step in range(3):
        for size in ((40 + 15 * step) * MIB, 1000):
            block = take(size)
            if block is None:
                return events, marks
            allocator.free(block)
            events.append(["f", size, block.address])
        marks.append([f"optimizer{step}", len(events)])
    return events, marks


def test_replays_recorded_runs(tmp_path: Path) -> None:
    events, marks = events_of(1000 * MIB)
    path = write(
        tmp_path / "memory-events.jsonl.gz", {"config": {"net": "tiny"}, "events": events, "marks": marks}
    )
    (run,) = read_recorded(path)
    assert (run.setup, run.edge) == ({"net": "tiny"}, "")
    assert run.trace.events[0].action is Action.SEGMENT_ALLOC
    found = check_trace(run.trace, marks=run.marks)
    assert found.complete
    assert found.allocations == found.addresses_matched == 7
    assert found.segments_recorded == found.segments_matched == 5  # 30, 40, 2, 56 and 70 MiB
    assert found.layout_matched is None
    # The last two steps need new segments: 30 + 40 + 2, then 56 and 70 more.
    reserved = [(mark.name, mark.reserved_bytes // MIB) for mark in found.marks]
    assert reserved == [("model", 30), ("optimizer0", 72), ("optimizer1", 128), ("optimizer2", 198)]
    assert {mark.allocated_bytes for mark in found.marks} == {30 * MIB}


def test_replays_the_edge_of_a_smaller_card(tmp_path: Path) -> None:
    (fits, marks), (fails, _) = events_of(110 * MIB), events_of(90 * MIB)
    row = {
        "config": {"capacity_gib": 8},
        "fits": {"events": fits, "marks": marks},
        "fails": {"events": fails, "marks": []},
    }
    good, bad = read_recorded(write(tmp_path / "oom-events.jsonl.gz", row))
    assert (good.edge, bad.edge) == ("fits", "fails")
    # 110 MiB: 30 + 40 + 2 held when 56 are asked, so 40 and 2 go; 30 + 56 + 2 when 70 are, so 56 and 2 go.
    retried = check_trace(good.trace, marks=good.marks)
    assert retried.complete
    assert retried.stats.alloc_retries == 2
    assert retried.releases_matched == retried.releases_recorded == 4
    failed = check_trace(bad.trace)  # 90 MiB: 30 + 70 are too many with the cache empty
    assert failed.complete
    assert (failed.ooms_recorded, failed.ooms_matched) == (1, 1)


def test_rows_without_an_edge_are_left_out(tmp_path: Path) -> None:
    row: dict[str, object] = {"config": {}, "fits": None, "fails": {"events": [], "marks": []}}
    (run,) = read_recorded(write(tmp_path / "e.gz", row), AllocatorConfig(expandable_segments=True))
    assert run.edge == "fails"
    assert run.trace.config == AllocatorConfig(expandable_segments=True)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([], "e.gz:1: a row needs a config"),
        ({"config": {}, "events": 3}, "e.gz:1: a run needs events"),
        (
            {"config": {}, "events": [["x", 1, 2]]},
            "e.gz:1: event 0 must be [one of a, f, s, r, o, bytes, address]",
        ),
        ({"config": {}, "events": [["a", -1, 2]]}, "e.gz:1: event 0 must be"),
        ({"config": {}, "events": [["a", "1", 2]]}, "e.gz:1: event 0 must be"),
        ({"config": {}, "events": [], "marks": [["x"]]}, "e.gz:1: a mark must be [name, events before it]"),
    ],
)
def test_refuses_in_one_line(row: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as refused:
        read_recorded(write(tmp_path / "e.gz", row))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_refuses_what_is_no_gzip_or_no_json(tmp_path: Path) -> None:
    path = tmp_path / "e.gz"
    with pytest.raises(FileFormatError, match=r"e\.gz: not a whole gzip file"):
        read_recorded(path)
    path.write_text("plain")
    with pytest.raises(FileFormatError, match=r"e\.gz: not a whole gzip file"):
        read_recorded(path)
    write(path, {"config": {}, "events": [["a", 1, 1]] * 1000})
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(FileFormatError, match=r"e\.gz: not a whole gzip file"):
        read_recorded(path)
    with gzip.open(path, "wt") as file:
        file.write("{")
    with pytest.raises(FileFormatError, match=r"e\.gz: not JSON lines"):
        read_recorded(path)
