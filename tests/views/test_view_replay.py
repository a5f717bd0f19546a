"""A replayed file as text, from recordings made by hand."""

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest

from vggprof import views
from vggprof.forms import Form
from vggprof.memory.allocator import AllocatorConfig, BlockInfo, BlockState, Segment
from vggprof.memory.replay import Action, Agreement, DeviceTrace, TraceEvent, check_trace
from vggprof.memory.replay.files import ReplayedFile, ReplayedRun
from vggprof.units import MIB

BASE = 0x7F00_0000_0000


def agreement(second: int, *, segments: tuple[Segment, ...] = ()) -> Agreement:
    """Two allocations of 100 bytes in a new segment, the second recorded *second* bytes behind the first."""
    events = (
        TraceEvent(Action.SEGMENT_ALLOC, BASE, 2 * MIB, 0),
        TraceEvent(Action.ALLOC, BASE, 100, 0),
        TraceEvent(Action.ALLOC, BASE + second, 100, 0),
    )
    trace = DeviceTrace(0, events, segments, AllocatorConfig(), begins_empty=True)
    return check_trace(trace, marks=[("end", 3)])


SAME = ReplayedRun("device 0", (), True, agreement(512))
OTHER = ReplayedRun("run 2", (("net", "ti|ny"), ("batch", 8)), False, agreement(4096))
BLOCKS = (
    BlockInfo(BASE, 512, 100, BlockState.ALLOCATED),
    BlockInfo(BASE + 512, 1024, 100, BlockState.ALLOCATED),  # twice what 100 bytes take
    BlockInfo(BASE + 1536, 2 * MIB - 1536, 0, BlockState.INACTIVE),
)
END = ReplayedRun(
    "device 1", (), True, agreement(512, segments=(Segment(BASE, 2 * MIB, 0, True, False, BLOCKS),))
)


def text_of(*runs: ReplayedRun) -> str:
    return " ".join(views.replay(ReplayedFile("a.pickle", runs), Form.TABLE).split())


def test_agreement_is_said_first() -> None:
    text = views.replay(ReplayedFile("a.pickle", (SAME,)), Form.TABLE)
    assert text.splitlines()[:3] == [
        "a.pickle: replay",
        "",
        "2 of 2 addresses and 1 of 1 segments are as recorded",
    ]
    assert "Where they part first" not in text
    # 100 bytes twice, 512 set aside for each, in a segment of 2 MiB.
    assert "device 0 200 B 1.00 KiB 2.00 MiB 0" in " ".join(text.split())


def test_the_first_event_at_which_they_part_is_shown() -> None:
    text = text_of(SAME, OTHER)
    assert "3 of 4 addresses and 2 of 2 segments are as recorded" in text
    found = f"100 bytes were put at {BASE + 4096:#x}; here they are at {BASE + 512:#x}"
    assert f"Where they part first - run 2: event 2: {found}." in text
    result = json.loads(views.replay(ReplayedFile("a.pickle", (SAME, OTHER)), Form.JSON))
    assert result["disagreement"] == {"run": "run 2", "event": 2, "what": found}
    assert result["runs"][0]["disagreement"] is None
    assert result["runs"][1]["disagreement"] == {"event": 2, "what": found}


def test_an_end_that_differs_is_a_disagreement_without_an_event() -> None:
    assert "device 1: every event agrees, but not every block at the end." in text_of(END)
    result = json.loads(views.replay(ReplayedFile("a.pickle", (END,)), Form.JSON))
    assert (result["complete"], result["runs"][0]["end_matched"]) == (False, False)
    assert result["disagreement"]["event"] is None


@pytest.mark.parametrize(
    ("told", "said"), [(True, False), (False, True)], ids=["settings in the file", "settings not told"]
)
def test_what_the_file_does_not_tell_is_assumed(told: bool, said: bool) -> None:
    text = text_of(replace(SAME, settings_told=told))
    assert ("does not tell the allocator's settings" in text) == said
    assert "the one in the older segment is taken, as by torch from 2.13 on: the file does not tell" in text


def test_setups_are_shown_and_cut_where_they_are_long() -> None:
    assert "- run 2: net ti|ny, batch 8" in text_of(OTHER)
    long = text_of(replace(OTHER, setup=(("net", "x" * 200),)))
    assert f"- run 2: net {'x' * 76}..." in long
    many = text_of(*[OTHER] * 9)
    assert many.count("3 runs more; JSON has them all.") == 2


def test_json_holds_the_contract() -> None:
    result = json.loads(views.replay(ReplayedFile("a.pickle", (SAME, OTHER)), Form.JSON))
    assert (result["schema_version"], result["command"], result["file"]) == (1, "replay", "a.pickle")
    counts = {
        key: result[key]
        for key in ("allocations", "addresses_matched", "segments_recorded", "segments_matched")
    }
    assert counts == {
        "allocations": 4,
        "addresses_matched": 3,
        "segments_recorded": 2,
        "segments_matched": 2,
    }
    first, second = result["runs"]
    assert (first["setup"], second["setup"]) == (None, {"net": "ti|ny", "batch": 8})
    assert first["end_matched"] is None  # nothing is known of the end
    assert first["settings"]["told"] is True
    assert (first["settings"]["tie"], first["settings"]["max_split_bytes"]) == ("segment", None)
    assert first["stats"]["peak_allocated_bytes"] == 1024
    assert first["marks"] == [
        {
            "name": "end",
            "event": 3,
            "allocated_bytes": 1024,
            "reserved_bytes": 2 * MIB,
            "peak_allocated_bytes": 1024,
            "peak_reserved_bytes": 2 * MIB,
        }
    ]
    assert len(result["assumptions"]) == 2


def test_csv_is_a_row_a_run() -> None:
    text = views.replay(ReplayedFile("a.pickle", (SAME, OTHER, END)), Form.CSV)
    same, other, end = csv.DictReader(StringIO(text))
    assert (same["run"], same["allocations"], same["addresses_matched"]) == ("device 0", "2", "2")
    assert (same["end_matched"], same["disagreement_event"], other["disagreement_event"]) == ("", "", "2")
    assert (end["end_matched"], end["peak_reserved_bytes"]) == ("false", str(2 * MIB))


def test_what_a_file_says_is_never_markup() -> None:
    text = views.replay(ReplayedFile("a|b.pickle", (OTHER,)), Form.MARKDOWN)
    assert r"# a\|b.pickle: replay" in text
    assert r"net ti\|ny" in text
