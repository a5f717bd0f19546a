"""``vggprof latency``, whole."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from measurement_made import GPU

from vggprof.cli.run import run
from vggprof.measurement import Conditions, Measurement, Samples, Status, Timing, write_measurements
from vggprof.trace import Setup

ARGS = ["latency", "lenet5", "--batch", "16", "--gpu", "Tesla V100 SXM2 16GB"]


def test_a_table_has_the_step_its_phases_and_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ARGS) == 0
    out = capsys.readouterr().out
    assert out.startswith("lenet5: time of a training step\n")
    assert "images a second" in out
    for heading in ("Milliseconds", "By layer, milliseconds on the GPU", "Assumed"):
        assert heading in out


def test_json_says_the_execution(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ARGS, "--execution", "graph", "--format", "json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["execution"] == "graph"
    assert read["device"] == "Tesla V100 SXM2 16GB"


def test_csv_has_a_row_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ARGS, "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gpu,layer,op,forward_ms")
    assert len(lines) > 10


def test_a_plot_and_a_picture_show_the_curve(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*ARGS, "--plot", "--svg", str(tmp_path / "curve.svg")]) == 0
    out = capsys.readouterr().out
    assert "batch  images/s" in out
    assert " knee" in out
    assert (tmp_path / "curve.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_plot_goes_with_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ARGS, "--plot", "--format", "json"]) == 2
    assert "--plot is text" in capsys.readouterr().err


def test_an_epoch_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ARGS, "--dataset-size", "0"]) == 2
    assert "no epoch" in capsys.readouterr().err


def measured(path: Path, *, device_name: str = "Tesla V100-SXM2-16GB", step_ms: float = 20.0) -> Path:
    """A file with one measurement of LeNet-5 that a card far slower than its generation made."""
    environment = replace(GPU, device_name=device_name, total_memory_bytes=None)
    samples = Samples((step_ms,) * 50)
    made = Measurement(
        Conditions("lenet5", Setup(batch=16), "cuda"), environment, Status.OK, timing=Timing("", samples)
    )
    write_measurements([made], path)
    return path


def test_a_measurement_draws_times_to_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = ["--measurements", str(measured(tmp_path / "runs.jsonl"))]
    assert run([*ARGS, "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["refined"] is None
    assert run([*ARGS, *told, "--format", "json"]) == 0
    refined = json.loads(capsys.readouterr().out)
    assert refined["refined"]["sources"] == ["lenet5 at batch 16, training, 50 steps"]
    factors = refined["refined"]["factors"]
    assert set(factors) == {"fp32_lanes", "tensor_cores", "bandwidth", "launch", "host"}
    assert factors["host"] > 1.1  # a small network waits for its host
    step = "step_ms"
    assert plain["prediction"][step]["likely"] < refined["prediction"][step]["likely"] < 20
    assert run([*ARGS, *told]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "drawn to those measured on such a GPU (lenet5 at batch 16, training, 50 steps)." in out
    assert f"an operator on the host {factors['host']:.2f}" in out


def test_a_measurement_of_another_gpu_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = measured(tmp_path / "runs.jsonl", device_name="NVIDIA GeForce RTX 3090")
    assert run([*ARGS, "--measurements", str(path)]) == 2
    said = capsys.readouterr().err
    assert "no times of steps on Tesla V100 SXM2 16GB: it is of NVIDIA GeForce RTX 3090" in said
