"""How fast vggprof is, as ratios within one run: the speed budget, printed as a markdown table.

    python benchmarks/speed.py [--repeat 5] [--quick]

Every process is started anew each time, in turns with the others, so that a busy moment hits all of them;
medians are compared. The first run of each is thrown away: it fills the operating system's caches.
``--quick`` leaves out fvcore at batch 32, which computes 500 billion multiply-accumulates on the CPU.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

MIB = 2**20
MEMORY = ("memory", "vgg16", "--batch", "32")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a process."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the budget."""

    what: str
    measured: str
    budget: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Inside:
    """What `inside.py` measures, in seconds."""

    trace_s: float
    fvcore_1_s: float
    fvcore_32_s: float | None
    depth: list[tuple[int, float]]  # operators, seconds


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs of each process")
    parser.add_argument("--quick", action="store_true", help="without fvcore at batch 32")
    options = parser.parse_args()
    rows = [*process_rows(measure_processes(options.repeat)), *inside_rows(run_inside(quick=options.quick))]
    print(machine() + "\n")
    print("| what | measured | budget | kept |\n| --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row.what} | {row.measured} | {row.budget} | {'yes' if row.kept else 'no'} |")


def machine() -> str:
    """Return the machine in one line."""
    python_and_torch = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{cpu_model()}, {os.cpu_count()} cores, {platform.system()}, {python_and_torch}"


def cpu_model() -> str:
    """Return the processor's name; where the system does not tell, its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def measure_processes(repeat: int) -> dict[str, list[Run]]:
    """Return the runs of every process, made in turns."""
    with tempfile.TemporaryDirectory() as folder:
        warm = {"VGGPROF_CACHE_DIR": f"{folder}/warm"}
        tasks: dict[str, Callable[[int], Run]] = {
            "torch": lambda _: timed(python("import torch")),
            "dynamo": lambda _: timed(python("import torch, torch._dynamo")),
            "help": lambda _: timed(vggprof("--help")),
            "first": lambda turn: timed(vggprof(*MEMORY), VGGPROF_CACHE_DIR=f"{folder}/{turn}"),
            "again": lambda _: timed(vggprof(*MEMORY), **warm),
        }
        runs: dict[str, list[Run]] = {name: [] for name in tasks}
        for turn in range(repeat + 1):
            for name, task in tasks.items():
                runs[name].append(task(turn))
    return {name: of_name[1:] for name, of_name in runs.items()}


def python(code: str) -> list[str]:
    """Return the command that runs *code*."""
    return [sys.executable, "-c", code]


def vggprof(*words: str) -> list[str]:
    """Return the command that runs vggprof with *words*."""
    return [sys.executable, "-m", "vggprof", *words]


def timed(command: Sequence[str], **environment: str) -> Run:
    """Run *command* and return what it took. Raises RuntimeError where it fails."""
    with tempfile.TemporaryDirectory() as empty:  # not in the checkout: what is installed is measured
        start = perf_counter()
        process = subprocess.Popen(
            command, cwd=empty, env=os.environ | environment, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    # Kilobytes on Linux, bytes on macOS (getrusage(2) of each).
    return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def run_inside(*, quick: bool) -> Inside:
    """Return what `inside.py` measures, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("inside.py")), *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Inside(**json.loads(done.stdout))


def process_rows(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    """Return the rows that compare processes."""
    seconds = {name: median(run.seconds for run in of_name) for name, of_name in runs.items()}
    peak = {name: median(run.peak_bytes for run in of_name) for name, of_name in runs.items()}
    words = " ".join(MEMORY)
    more = (peak["first"] - peak["torch"]) / MIB
    return [
        ratio("`vggprof --help`", seconds["help"], "`import torch`", seconds["torch"], 0.15),
        ratio(
            f"`vggprof {words}`, first time",
            seconds["first"],
            "`import torch, torch._dynamo`",
            seconds["dynamo"],
            1.25,
        ),
        ratio(f"`vggprof {words}`, again", seconds["again"], "`import torch`", seconds["torch"], 0.5),
        Row(
            f"peak memory of `vggprof {words}`, first time",
            f"`import torch` + {more:.0f} MiB",
            "+ 400 MiB",
            kept=more <= 400,
        ),
    ]


def ratio(what: str, seconds: float, other: str, other_seconds: float, budget: float) -> Row:
    """Return a row that says one time as a multiple of another."""
    times = seconds / other_seconds
    measured = f"{times:.2f} x {other} ({seconds:.2f} s, {other_seconds:.2f} s)"
    return Row(what, measured, f"{budget:g} x", kept=times <= budget)


def inside_rows(inside: Inside) -> list[Row]:
    """Return the rows about tracing."""
    (half, half_s), (whole, whole_s) = inside.depth
    growth = (whole_s / half_s) / (whole / half)
    return [
        Row(
            "tracing VGG-16's three training steps, warm",
            f"{1000 * inside.trace_s:.0f} ms",
            "120 ms",
            kept=inside.trace_s <= 0.120,
        ),
        faster(1, inside.fvcore_1_s, inside.trace_s, 1),
        *([] if inside.fvcore_32_s is None else [faster(32, inside.fvcore_32_s, inside.trace_s, 50)]),
        Row(
            f"time an operator at {whole:,} operators, against {half:,}",
            f"{growth:.2f} x ({1e6 * whole_s / whole:.0f} us)",
            "linear: 1.25 x",
            kept=growth <= 1.25,
        ),
    ]


def faster(batch: int, fvcore: float, ours: float, budget: float) -> Row:
    """Return a row that says how many times faster the trace is than fvcore's count of one forward pass."""
    times = fvcore / ours
    return Row(
        f"the same against fvcore's count of one forward pass at batch {batch}",
        f"{times:.0f} x faster ({fvcore:.2f} s)",
        "faster" if budget == 1 else f"{budget:g} x faster",
        kept=times > budget,
    )


if __name__ == "__main__":
    main()
