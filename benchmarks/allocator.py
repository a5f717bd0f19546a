"""How many events a second the allocator simulator replays, with and without settings and a limit.

Run: python benchmarks/allocator.py [EVENTS]
"""

import random
import sys
import time
from collections.abc import Sequence

from vggprof.memory.allocator import Alloc, Event, Free, parse_allocator_config, replay
from vggprof.units import GIB

SETTINGS = (
    "",
    "max_split_size_mb:128",
    "roundup_power2_divisions:4",
    "expandable_segments:True",
    "garbage_collection_threshold:0.8,per_process_memory_fraction:0.9",
)


def program(count: int, *, live: int, seed: int = 0) -> list[Event]:
    """Return *count* events of a seeded program holding about *live* allocations of 64 bytes to 128 MiB."""
    chance = random.Random(seed)
    events: list[Event] = []
    held: list[int] = []
    for name in range(count):
        if held and (len(held) >= 2 * live or chance.random() < len(held) / (2 * live)):
            events.append(Free(held.pop(chance.randrange(len(held)))))
        else:
            held.append(name)
            events.append(Alloc(name, int(2 ** chance.uniform(6, 27))))
    return events


def events_per_second(events: Sequence[Event], settings: str) -> float:
    """Return the best of three replays."""
    config = parse_allocator_config(settings)
    best = 0.0
    for _ in range(3):
        begin = time.perf_counter()
        done = replay(events, config, total_bytes=80 * GIB)
        assert done.fits
        best = max(best, len(events) / (time.perf_counter() - begin))
    return best


def main() -> None:
    """Print one line a setting and program size."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for live in (50, 1000):
        events = program(count, live=live)
        for settings in SETTINGS:
            rate = events_per_second(events, settings)
            print(f"{live:5} live  {rate:10,.0f} events/s  {count / rate:6.3f} s for {count:,}  {settings}")


if __name__ == "__main__":
    main()
