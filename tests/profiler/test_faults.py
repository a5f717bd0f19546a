"""Whatever happens to the measuring process is a result, and nothing is left of it: with real processes."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from profiled import QUICK, faulty, request, small

from vggprof import api
from vggprof.errors import ArchError
from vggprof.measurement import Measurement, Status
from vggprof.measurement.files import read_measurements
from vggprof.profiler import isolation
from vggprof.profiler.plan import Plan
from vggprof.trace import Setup

PATIENCE_S = 600  # on a machine that may be busy

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def measured(arch: str, plan: Plan = QUICK, memory_limit_bytes: int | None = None) -> Measurement:
    asked = request(arch, None, plan, memory_limit_bytes=memory_limit_bytes)
    return isolation.measure(asked, lambda _text: None)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("kill", "killed by SIGKILL (the system does that when its memory runs out) while"),
        (
            "raise",
            "ended with exit code 1 while running the first steps: RuntimeError: shape '[3]' is invalid",
        ),
    ],
)
def test_a_crash_says_how_and_when(fault: str, said: str, tmp_path: Path) -> None:
    found = measured(faulty(tmp_path, fault))
    assert found.status is Status.CRASHED
    assert found.message is not None
    assert found.message.startswith(said)
    assert found.environment.threads is not None, "what was known before is kept"
    assert found.timing is None


def test_a_hang_ends_with_its_time(tmp_path: Path) -> None:
    found = measured(faulty(tmp_path, "hang"), Plan(limit_s=20))
    assert found.status is Status.TIMEOUT
    assert found.message is not None
    assert found.message.startswith("not done after 20 s, while ")


def test_running_out_of_memory_is_an_answer(tmp_path: Path) -> None:
    found = measured(faulty(tmp_path, "memory"))
    assert found.status is Status.OOM
    assert found.message is not None
    assert "you tried to allocate 281474976710656 bytes" in found.message  # 2**46 numbers of 4 bytes


@linux
def test_a_limit_of_address_space_stands_in_for_a_small_card(tmp_path: Path) -> None:
    # Only the weights of fc6 in VGG-16, 25,088 x 4,096 numbers, take 392 MiB.
    found = measured("vgg16@classes=10", memory_limit_bytes=256 * 2**20)
    assert (found.status, found.timing) == (Status.OOM, None)
    assert found.conditions.memory_limit_bytes == 256 * 2**20
    assert found.message is not None
    assert "can't allocate memory: you tried to allocate 411041792 bytes" in found.message


def test_what_a_network_prints_is_no_message(tmp_path: Path) -> None:
    said: list[str] = []
    found = isolation.measure(request(faulty(tmp_path, "print")), said.append)
    assert found.status is Status.OK
    assert "timing steps" in said
    assert "not from us" not in said


def test_our_own_errors_come_through(tmp_path: Path) -> None:
    asked = request(faulty(tmp_path, "no"))
    (tmp_path / "faults.py").write_text("def other(): ...")
    with pytest.raises(ArchError, match="build"):
        isolation.measure(asked, lambda _text: None)


def wait_for(text: str, stderr: IO[str] | None) -> None:
    assert stderr is not None
    heard: list[str] = []
    for line in stderr:
        heard.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} was never said, but {heard}")


def children(parent: int) -> list[int]:
    """Return the processes that *parent* started."""
    stats: list[str] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # processes of others come and go
            stats.append(path.read_text())
    fields = [(int(stat.split(" ", 1)[0]), int(stat.rpartition(") ")[2].split()[1])) for stat in stats]
    return [pid for pid, started_by in fields if started_by == parent]


def has_ended(handle: int) -> bool:
    """Return whether the process of *handle* ends, as it has to."""
    ready, _, _ = select.select([handle], [], [], PATIENCE_S)
    os.close(handle)
    return bool(ready)


MEASURE = """
import sys
from vggprof.profiler import isolation, plan
isolation.measure(plan.from_json(sys.stdin.read()), lambda text: print(text, flush=True))
"""


@linux
def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    asked = request(faulty(tmp_path, "hang"))
    (tmp_path / "request").write_text(asked.to_json())
    with (
        (tmp_path / "request").open() as stdin,
        subprocess.Popen(
            [sys.executable, "-c", MEASURE], stdin=stdin, stdout=subprocess.PIPE, text=True
        ) as parent,
    ):
        wait_for("running the first steps", parent.stdout)
        (child,) = children(parent.pid)
        handle = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
        assert has_ended(handle)


@linux
def test_an_interrupt_keeps_what_is_done_of_a_sweep(tmp_path: Path) -> None:
    arch, record = small(tmp_path), tmp_path / "measured.jsonl"
    api.trace_arch(arch, Setup(batch=1))  # so that the command itself needs no torch
    command = [
        *(sys.executable, "-m", "vggprof", "measure", arch, "--batch", "2,3", "--device", "cpu"),
        *("--warmup", "0", "--steps", "3", "--no-layers", "--no-store", "--record", str(record)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for("batch 3: importing torch", process.stderr)
        (child,) = children(process.pid)
        handle = os.pidfd_open(child)
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=PATIENCE_S)
    assert has_ended(handle)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Interrupted"
    assert "batch 2, training" in shown
    (kept,) = read_measurements(record)
    assert (kept.status, kept.conditions.setup.batch) == (Status.OK, 2)
