"""The simulator against torch's own compiled allocator: each address, message, count and block of recorded
runs.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vggprof.memory.allocator import (
    Allocator,
    Block,
    BlockInfo,
    BlockState,
    OutOfMemory,
    Segment,
    Stats,
    oom_message,
    parse_allocator_config,
)
from vggprof.memory.allocator.rules import round_up
from vggprof.memory.replay import Action, DeviceTrace, TraceEvent, check_trace
from vggprof.units import GIB, MIB

DATA = Path(__file__).parents[1] / "data" / "allocator"
STATES = (BlockState.INACTIVE, BlockState.AWAITING_FREE, BlockState.ALLOCATED)
# TraceEntry::Action of c10/core/CachingDeviceAllocator.h, in its order.
ACTIONS = (
    Action.ALLOC,
    Action.FREE_REQUESTED,
    Action.FREE_COMPLETED,
    Action.SEGMENT_ALLOC,
    Action.SEGMENT_FREE,
    Action.SEGMENT_MAP,
    Action.SEGMENT_UNMAP,
    Action.SNAPSHOT,
    Action.OOM,
    Action.ANNOTATE,
)


class FakeDevice:
    """The device of allocator_oracle/fake_cudart.c."""

    def __init__(self, total_bytes: int, addresses: str) -> None:
        self.total, self.used = total_bytes, 0
        self.addresses = addresses
        self.next, self.next_range = 0x7000_0000_0000, 0x5000_0000_0000
        self.live: dict[int, int] = {}

    def malloc(self, size: int) -> int | None:
        size = round_up(size, 2 * MIB)
        if self.used + size > self.total:
            return None
        self.used += size
        if self.addresses == "lowest":
            address = self._lowest(size)
        elif self.addresses == "descending":
            self.next -= size
            address = self.next
        else:
            address = self.next
            self.next += size
        self.live[address] = size
        return address

    def _lowest(self, size: int) -> int:
        at = 0x7000_0000_0000
        for address, length in sorted(self.live.items()):
            if at + size <= address:
                break
            at = max(at, address + length)
        return at

    def free(self, address: int, size: int) -> None:
        self.used -= self.live.pop(address)

    def adopt(self, address: int, size: int) -> None:
        raise AssertionError("nothing to adopt")

    def reserve(self, size: int, stream: int, page: int) -> int:
        address = self.next_range
        self.next_range += (size // GIB + 1) * GIB
        return address

    def release(self, address: int, size: int) -> None:
        pass

    def map(self, address: int, size: int, page: int) -> bool:
        if self.used + size > self.total:
            return False
        self.used += size
        return True

    def unmap(self, address: int, size: int) -> None:
        self.used -= size


def run(row: dict[str, Any], torch: tuple[int, int]) -> Iterator[str]:
    """What the simulator prints for a row's script, in the words of drive.cpp."""
    device = FakeDevice(row["total_bytes"], row["addresses"])
    config = parse_allocator_config(row["settings"], torch)
    allocator = Allocator(config, total_bytes=device.total, driver=device)
    live: dict[str, Block] = {}
    for line in row["script"]:
        match line.split():
            case ["a", name, size, stream]:
                block = allocator.malloc(int(size), int(stream))
                if isinstance(block, OutOfMemory):
                    yield "O " + oom_message(block, free_bytes=device.total - device.used, processes="")
                else:
                    live[name] = block
                    yield f"A {block.address}"
            case ["f", name]:
                if name in live:
                    allocator.free(live.pop(name))
            case ["e"]:
                allocator.empty_cache()
            case ["s"]:
                yield counts(allocator.stats)
            case ["g"]:
                yield from map(outline, allocator.segments())


def counts(s: Stats) -> str:
    return (
        f"S {s.allocated_bytes} {s.peak_allocated_bytes} {s.requested_bytes} {s.peak_requested_bytes}"
        f" {s.reserved_bytes} {s.peak_reserved_bytes} {s.active_bytes} {s.peak_active_bytes}"
        f" {s.inactive_split_bytes} {s.peak_inactive_split_bytes} {s.segments} {s.alloc_retries} {s.ooms}"
        f" {s.oom_rejections}"
    )


def outline(segment: Segment) -> str:
    head = f"G {segment.address} {segment.size_bytes} {segment.stream}"
    blocks = (f" {b.size_bytes}:{b.requested_bytes}:{STATES.index(b.state)}" for b in segment.blocks)
    return f"{head} {int(not segment.is_small)} {int(segment.is_expandable)}{''.join(blocks)}"


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("torch", [(2, 11), (2, 12), (2, 13), (2, 14), (2, 15)])
def test_does_what_torch_does(torch: tuple[int, int]) -> None:
    recorded = rows(f"torch-{torch[0]}.{torch[1]}.jsonl.gz")
    assert len(recorded) >= 16
    for row in recorded:
        assert sum(line[0] == "A" for line in row["done"]) > 50, row["settings"]
        assert list(run(row, torch)) == row["done"], row["settings"]


def test_the_recorded_runs_reach_every_kind_of_refusal() -> None:
    done = [line for row in rows("torch-2.15.jsonl.gz") for line in row["done"]]
    messages = [line for line in done if line[0] == "O"]
    for part in (
        "If reserved but unallocated memory is large try setting",
        " expandable_segments is enabled.",
        "This allocation exceeds the expandable-segment reserve of",
        " allowed; ",
        "Allocation was preemptively rejected",
    ):
        assert any(part in message for message in messages), part


def test_replays_histories_that_torch_recorded() -> None:
    recorded = rows("history-2.15.jsonl.gz")
    assert len(recorded) == 15
    for row in recorded:
        found = check_trace(history(row), torch=(2, 15))
        assert found.disagreement is None, (row["settings"], row["begin"])
        assert found.complete
        assert found.allocations == found.addresses_matched > 0
        assert found.segments_recorded == found.segments_matched
        assert found.releases_recorded == found.releases_matched
        assert found.ooms_recorded == found.ooms_matched


def history(row: dict[str, Any]) -> DeviceTrace:
    events, segments = [], []
    for line in row["done"]:
        kind, *numbers = line.split()
        if kind == "T":
            action, address, size, stream = map(int, numbers)
            events.append(TraceEvent(ACTIONS[action], address, size, stream))
        else:
            segments.append(segment_of(numbers))
    return DeviceTrace(0, tuple(events), tuple(segments), parse_allocator_config(row["settings"]))


def segment_of(words: list[str]) -> Segment:
    address, size, stream, is_large, is_expandable = map(int, words[:5])
    blocks, at = [], address
    for word in words[5:]:
        length, requested, state = map(int, word.split(":"))
        blocks.append(BlockInfo(at, length, requested, STATES[state]))
        at += length
    return Segment(address, size, stream, not is_large, bool(is_expandable), tuple(blocks))
