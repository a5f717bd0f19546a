"""Record what torch's compiled allocator does with seeded scripts; README.md tells how."""

import argparse
import gzip
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MIB = 2**20
# The first releases that know an option, and every setting that is recorded.
SINCE = {"throw_on_cudamalloc_oom": (2, 12), "expandable_segments_reserve": (2, 15)}
SETTINGS = (
    "",
    "max_split_size_mb:20",
    "max_split_size_mb:21",
    "max_split_size_mb:50",
    "max_split_size_mb:30,max_non_split_rounding_mb:40",
    "roundup_power2_divisions:4",
    "roundup_power2_divisions:[1:2,4:8,16:1,>:4]",
    "large_segment_size_mb:40",
    "large_segment_size_mb:12,max_split_size_mb:15",
    "expandable_segments:True",
    "expandable_segments:True,max_split_size_mb:50",
    "expandable_segments:True,roundup_power2_divisions:8",
    "expandable_segments:True,large_segment_size_mb:40",
    "per_process_memory_fraction:0.5",
    "per_process_memory_fraction:0.8,garbage_collection_threshold:0.5",
    "per_process_memory_fraction:0.7,garbage_collection_threshold:0.3,max_split_size_mb:40",
    "garbage_collection_threshold:0.5",
    "expandable_segments:True,per_process_memory_fraction:0.6",
    "expandable_segments:True,per_process_memory_fraction:0.6,garbage_collection_threshold:0.5",
    "throw_on_cudamalloc_oom:True",
    "throw_on_cudamalloc_oom:True,per_process_memory_fraction:0.5",
    "expandable_segments:True,throw_on_cudamalloc_oom:True",
    "expandable_segments:True,expandable_segments_reserve:0.3",
    "expandable_segments:True,expandable_segments_reserve:0.05G",
)
HISTORY_SETTINGS = (
    "",
    "max_split_size_mb:50",
    "roundup_power2_divisions:4",
    "large_segment_size_mb:40",
    "expandable_segments:True",
)
ADDRESSES = ("ascending", "descending", "lowest")
BORDERS = (
    1,
    511,
    512,
    513,
    MIB - 512,
    MIB,
    MIB + 1,
    10 * MIB - 1,
    10 * MIB,
    20 * MIB,
    20 * MIB + 1,
    50 * MIB,
)


@dataclass(frozen=True, slots=True)
class Setup:
    """One script's surroundings."""

    torch: tuple[int, int]
    settings: str
    total_bytes: int
    addresses: str


def script(chance: random.Random, steps: int, streams: tuple[int, ...]) -> Iterator[str]:
    """Yield a seeded script: sizes that come back, sizes at the borders of the rules, and others."""
    top = chance.choice((24, 27, 28, 28))
    usual = [int(2 ** chance.uniform(6, top)) for _ in range(chance.choice((3, 8, 30)))]
    live: list[int] = []
    for step in range(steps):
        kind = chance.random()
        if live and kind < 0.45:
            yield f"f {live.pop(chance.randrange(len(live)))}"
        elif kind < 0.46:
            yield "e"
        else:
            size = chance.choice(usual) if chance.random() < 0.7 else int(2 ** chance.uniform(3, top))
            if chance.random() < 0.1:
                size = chance.choice(BORDERS)
            live.append(step)
            yield f"a {step} {size} {chance.choice(streams)}"


def rows(torch: tuple[int, int], tools: Path, libraries: Path) -> Iterator[dict[str, object]]:
    """Yield one recorded row a setting."""
    for number, settings in enumerate(SETTINGS):
        if any(option in settings and torch < since for option, since in SINCE.items()):
            continue
        chance = random.Random(f"{torch} {number}")
        addresses = chance.choice(ADDRESSES)
        setup = Setup(torch, settings, chance.choice((200, 400)) * MIB, addresses)
        lines = list(script(chance, 300, chance.choice(((0,), (0, 1), (0, 3, 7)))))
        if torch >= (2, 14):
            lines = [
                each
                for at, line in enumerate(lines)
                for each in ((line, "s", "g") if at % 75 == 74 else (line,))
            ]
        yield {
            "settings": settings,
            "total_bytes": setup.total_bytes,
            "addresses": addresses,
            "script": lines,
            "done": run(setup, lines, tools, libraries),
        }


def histories(tools: Path, libraries: Path) -> Iterator[dict[str, object]]:
    """Yield recorded histories of the headers' release: from the start, and begun in the middle of a run."""
    for number, settings in enumerate(HISTORY_SETTINGS * 3):
        chance = random.Random(f"history {number}")
        setup = Setup((2, 15), settings, chance.choice((400, 1000, 4000)) * MIB, chance.choice(ADDRESSES))
        lines = list(script(chance, 400, chance.choice(((0,), (0, 1)))))
        begin = 0 if number % 3 == 0 else chance.randrange(100, 300)
        done = run(setup, [*lines[:begin], "h 1000000", *lines[begin:], "t", "g"], tools, libraries)
        yield {"settings": settings, "begin": begin, "done": [line for line in done if line[0] in "TG"]}


def run(setup: Setup, lines: list[str], tools: Path, libraries: Path) -> list[str]:
    """Return what torch printed for a script."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(tools / "libcudart.so.13"),
        "LD_LIBRARY_PATH": f"{tools}:{libraries}",
        "FAKE_TOTAL": str(setup.total_bytes),
        "FAKE_ADDRESSES": setup.addresses,
        "PYTORCH_CUDA_ALLOC_CONF": setup.settings,
    }
    text = "\n".join(lines) + "\n"
    done = subprocess.run(
        [tools / "drive"], input=text, env=environment, capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if line[:2] in ("A ", "O ", "S ", "G ", "T ")]


def build(tools: Path, headers: Path, cuda: Path, libraries: Path) -> None:
    """Compile the fakes and the driver into *tools*."""
    (tools / "versions.map").write_text("libcudart.so.13 { global: *; };\n", encoding="utf-8")
    shared = ["gcc", "-shared", "-fPIC", "-O1", "-w", f"-I{cuda}"]
    runtime = str(tools / "libcudart.so.13")
    fakes = [str(HERE / "fake_cudart.c"), str(HERE / "fake_rest.c")]
    names = [f"-Wl,--version-script={tools / 'versions.map'}", "-Wl,-soname,libcudart.so.13"]
    subprocess.run([*shared, *fakes, "-o", runtime, *names], check=True)
    nvml = [str(HERE / "fake_nvml.c"), "-o", str(tools / "libnvidia-ml.so.1")]
    subprocess.run([*shared, *nvml], check=True)
    compiler = ["g++", "-std=c++20", "-O1", "-w", f"-I{headers}", f"-I{cuda}", str(HERE / "drive.cpp")]
    links = ["-o", str(tools / "drive"), f"-L{libraries}", "-lc10_cuda", "-lc10", runtime]
    subprocess.run([*compiler, *links], check=True)


def write(path: Path, lines: list[str]) -> None:
    """Write JSON lines, gzipped, the same bytes for the same lines."""
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def main() -> None:
    """Build, run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headers", type=Path, required=True)
    parser.add_argument("--cuda", type=Path, required=True)
    parser.add_argument("--release", action="append", required=True, metavar="X.Y=LIB")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    releases = dict(release.split("=", 1) for release in options.release)
    with tempfile.TemporaryDirectory() as folder:
        tools = Path(folder)
        build(tools, options.headers, options.cuda, Path(next(iter(releases.values()))))
        for release, libraries in releases.items():
            major, minor = map(int, release.split("."))
            recorded = [json.dumps(row) for row in rows((major, minor), tools, Path(libraries))]
            write(options.out / f"torch-{release}.jsonl.gz", recorded)
            if (major, minor) == (2, 15):
                recorded = [json.dumps(row) for row in histories(tools, Path(libraries))]
                write(options.out / f"history-{release}.jsonl.gz", recorded)


if __name__ == "__main__":
    main()
