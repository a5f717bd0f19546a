"""``vggprof latency``, whole."""

import json
from pathlib import Path

import pytest

from vggprof.cli.run import run

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
