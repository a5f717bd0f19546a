"""What a process says of itself: the most memory that it held."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from vggprof.profiler.environment import resident_peak_bytes
from vggprof.units import MIB

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the same in other ways")

CHILD = "from vggprof.profiler.environment import resident_peak_bytes; print(resident_peak_bytes())"


def resident_bytes() -> int:
    """Return what this process holds now: the second number of statm, in pages (proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_the_peak_is_at_least_what_was_held_and_rises_with_it() -> None:
    held = resident_bytes()
    before = resident_peak_bytes()
    assert before is not None
    block = b"x" * (before - held + 64 * MIB)
    after = resident_peak_bytes()
    assert after is not None
    assert after == pytest.approx(held + len(block), abs=16 * MIB)
    del block
    assert resident_peak_bytes() == pytest.approx(after, abs=MIB)


def test_what_the_process_that_started_it_held_is_not_counted() -> None:
    block = b"x" * (256 * MIB)
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout
    assert 4 * MIB < int(said) < len(block)
