"""The store under several real processes, when one is killed, and when the disk is full."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from measurement_made import on_cpu

from vggprof import store

TESTS = Path(__file__).parents[1]
PATIENCE_S = 600  # on a machine that may be busy
# How every process of these tests begins.
START = """
import resource
import sys
from dataclasses import replace
from pathlib import Path
from measurement_made import on_cpu
from vggprof import store
from vggprof.errors import VggprofError
path, number, most_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
"""
ADD_SOME = "for batch in range(1, 11):\n    store.add(on_cpu(100 * number + batch), path)\n"
# Say when a run is written but not yet whole, and then wait to be killed.
STOP_BEFORE_THE_END = """
import vggprof.store.runs as runs
from contextlib import contextmanager
writing = runs.writing
@contextmanager
def held(place):
    with writing(place) as connection:
        yield connection
        connection.execute("pragma cache_spill = 1")
        print("written", flush=True)
        sys.stdin.read()
store.add(on_cpu(1), path)
store.add(on_cpu(2), path)
runs.writing = held
store.add(on_cpu(3), path)
"""
KEEP_UNTIL_FULL = """
try:
    for batch in range(1, 10_000):
        print(store.add(replace(on_cpu(batch), message="x" * 20_000), path), flush=True)
except VggprofError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def started(
    code: str, path: Path, number: int = 0, most_bytes: int = resource.RLIM_INFINITY
) -> subprocess.Popen[str]:
    """Start a process with *code*; none of its files can grow beyond *most_bytes*."""
    places = filter(None, (str(TESTS), os.environ.get("PYTHONPATH")))
    return subprocess.Popen(
        [sys.executable, "-c", START + code, str(path), str(number), str(most_bytes)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"  # which none of them finds there
    writers = [started(ADD_SOME, path, number) for number in range(3)]
    for writer in writers:
        _, errors = writer.communicate(timeout=PATIENCE_S)
        assert (writer.returncode, errors) == (0, "")
    batches = [run.batch for run in store.list_runs(path)]
    assert sorted(batches) == [100 * number + batch for number in range(3) for batch in range(1, 11)]
    for number in range(3):  # each in its order
        assert [batch for batch in batches if batch // 100 == number] == sorted(
            batch for batch in batches if batch // 100 == number
        )
    assert len({run.name for run in store.list_runs(path)}) == 30


def test_a_killed_writer_loses_the_run_in_flight_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    writer = started(STOP_BEFORE_THE_END, path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    assert [run.batch for run in store.list_runs(path)] == [1, 2]  # readers go on meanwhile
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=PATIENCE_S)
    assert [run.batch for run in store.list_runs(path)] == [1, 2]
    name = store.add(on_cpu(4), path)  # the lock went with the process
    assert store.get(name, path) == on_cpu(4)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_full_disk_is_one_line_and_what_was_kept_stays(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    writer = started(KEEP_UNTIL_FULL, path, most_bytes=400_000)
    output, errors = writer.communicate(timeout=PATIENCE_S)
    kept = output.split()
    assert writer.returncode == 2
    assert errors.count("\n") == 1
    assert f"{path}: nothing was kept, for the disk is full or fails" in errors
    assert len(kept) > 5
    assert [run.name for run in store.list_runs(path)] == kept
    assert [store.get(name, path).conditions.setup.batch for name in kept] == list(range(1, len(kept) + 1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_device_that_is_always_full() -> None:
    writer = started(KEEP_UNTIL_FULL, Path("/dev/full"))
    _, errors = writer.communicate(timeout=PATIENCE_S)
    assert writer.returncode == 2
    assert errors.count("\n") == 1
    assert "/dev/full: nothing was kept, for the disk is full" in errors
