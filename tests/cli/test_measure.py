"""``vggprof measure`` whole, from words to text, on the CPU; each measurement in a process of its own."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from measurement_made import on_cpu

from vggprof import api
from vggprof.cli.run import run
from vggprof.measurement import Measurement, Protocol, Status
from vggprof.measurement.files import read_measurements
from vggprof.profiler.plan import Request

Captured = pytest.CaptureFixture[str]

SPEC = """\
name: small
title: A small network
source: made for tests
input: 3x16x16
layers:
  - conv1: {conv: 8, kernel: 3, then: relu}
  - flatten
  - fc: {linear: 10}
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small spec, in a folder of its own with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path / "data"))
    Path("small.yaml").write_text(SPEC)
    return "./small.yaml"


def words(arch: str, *more: str) -> list[str]:
    return ["measure", arch, "--batch", "2", "--device", "cpu", "--steps", "10", "--warmup", "0", *more]


def test_a_measurement_is_shown_written_and_kept(small: str, capsys: Captured) -> None:
    files = ("--record", "made.jsonl", "--trace", "trace.json")
    assert run(words(small, "--format", "json", "--kernels", *files)) == 0
    shown, said = capsys.readouterr()
    result = json.loads(shown)
    assert (result["command"], result["status"], result["message"]) == ("measure", "ok", None)
    assert result["environment"]["threads"] == torch.get_num_threads()
    for part in ("forward_ms", "backward_ms", "optimizer_ms", "step_ms"):
        assert set(result["timing"][part]) >= {"median", "p25", "p75", "min", "mean", "std", "n"}
        assert result["timing"][part]["n"] == 10
    assert [layer["name"] for layer in result["layers"]] == ["conv1", "relu1", "flatten", "fc", ""]
    assert result["memory"]["process_bytes"] > 2**20
    assert result["memory"]["peak_allocated_bytes"] is None, "nobody counts that on the CPU"
    (made,) = read_measurements(Path("made.jsonl"))
    assert made.status is Status.OK
    assert made.began is not None
    (kept,) = api.list_runs()
    assert f"kept as {kept.name}" in said
    assert api.get_run(kept.name) == made
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    assert any(event.get("name") == "aten::convolution_backward" for event in events)


def test_the_seed_protocol_prints_its_lines(small: str, capsys: Captured) -> None:
    assert run(words(small, "--protocol", "seed", "--no-store", "--record", "made.jsonl")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r".+: Forward across 10 steps, .+ \+/- .+ sec / batch", lines[1])
    assert re.fullmatch(r".+: Forward-backward across 10 steps, .+ \+/- .+ sec / batch", lines[3])
    assert api.list_runs() == ()
    (made,) = read_measurements(Path("made.jsonl"))
    assert made.conditions.protocol is Protocol.SEED
    assert run(["runs", "show", "made.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert "passes timed as by alexnet_benchmark.py (protocol seed)" in shown
    assert "whole step" not in shown
    (work,) = [line for line in shown.splitlines() if line.startswith("Work:")]
    assert work.startswith("Work: forward ")
    assert "step" not in work, "there is no optimizer in it"


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_without_a_gpu_cuda_is_one_line(small: str, capsys: Captured) -> None:
    assert run(["measure", small, "--device", "cuda"]) == 4
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"Error: torch .+; --device cpu measures on the CPU", last)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--batch", "many"), "'many' is no batch; write it like 32, 1,2,4,8 or auto"),
        (("--batch", "4,0"), "batch 0 cannot be run"),
        (("--batch", "4,2,4"), "batch 4 is named twice"),
        (("--time-limit", "inf"), "must be numbers above zero"),
        (("--seed", str(2**64)), "a seed has 64 bits"),
        (("--no-layers", "--kernels"), "--kernels needs --layers"),
        (("--memory-limit", "0"), "nothing runs in 0 bytes"),
        (("--steps", "0"), "0 steps measure nothing"),
        (("--memory-limit", "much"), "'much' is not a memory size"),
        (("--trace", "nowhere/trace.json"), "there is no folder nowhere"),
        (("--record", "nowhere/made.jsonl"), "there is no folder nowhere"),
        (("--record", "nodir/"), "nodir/ names a folder; name a file"),
        (("--batch", "2,4", "--trace", "trace.json"), "one measurement"),
        (("--no-layers", "--trace", "trace.json"), "a trace is of the steps whose layers are timed"),
        (("--device", "cpu", "--snapshot", "s.pickle"), "--snapshot is of the GPU's allocator"),
        (("--protocol", "seed", "--mode", "infer"), "--protocol seed times forward and backward"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    more: tuple[str, ...], said: str, small: str, capsys: Captured
) -> None:
    assert run(["measure", small, *more]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "importing torch" not in shown.err


def test_a_damaged_store_is_told_before_any_work(small: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs.sqlite").write_bytes(b"no database " * 100)
    assert run(words(small)) == 2
    assert "importing torch" not in capsys.readouterr().err


def test_a_store_that_cannot_be_used_is_told_before_any_work(
    small: str, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "data").write_text("a file where the folder has to be")
    assert run(words(small)) == 2
    said = capsys.readouterr().err
    assert "the store of runs cannot be used" in said
    assert "importing torch" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_loses_one_output_and_no_other(small: str, capsys: Captured) -> None:
    assert run(words(small, "--no-layers", "--format", "json", "--record", "/dev/full")) == 2
    shown, said = capsys.readouterr()
    assert json.loads(shown)["status"] == "ok"
    assert (
        said.splitlines()[-1] == "Error: /dev/full: measurements cannot be written: No space left on device"
    )
    assert len(api.list_runs()) == 1
    assert (
        run(words(small, "--no-layers", "--no-store", "-o", "/dev/full", "--format", "json", "--record", "r"))
        == 2
    )
    assert "/dev/full cannot be written" in capsys.readouterr().err
    assert len(read_measurements(Path("r"))) == 1


def interrupted(batch: int) -> Callable[..., Measurement]:
    """Return what measures by hand, until Ctrl-C at *batch*."""

    def measure(asked: Request, *_heard: object) -> Measurement:
        if asked.conditions.setup.batch == batch:
            raise KeyboardInterrupt
        return replace(on_cpu(), conditions=asked.conditions)

    return measure


def test_an_interrupted_sweep_is_still_a_sweep(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("vggprof.profiler.isolation.measure", interrupted(8))
    assert run(["measure", small, "--batch", "4,8", "--device", "cpu", "--format", "json"]) == 130
    result = json.loads(capsys.readouterr().out)
    assert result["largest_batches"] == []
    assert [each["setup"]["batch"] for each in result["measurements"]] == [4]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_trace_onto_a_full_disk_loses_nothing_else(small: str, capsys: Captured) -> None:
    Path("full.json").symlink_to("/dev/full")
    assert run(words(small, "--format", "json", "--no-store", "--trace", "full.json")) == 2
    shown, said = capsys.readouterr()
    result = json.loads(shown)
    assert (result["status"], result["message"]) == (
        "ok",
        "full.json cannot be written: No space left on device",
    )
    assert result["layers"]
    assert said.endswith("Error: full.json cannot be written: No space left on device\n")
    assert Path("/dev/full").is_char_device()
