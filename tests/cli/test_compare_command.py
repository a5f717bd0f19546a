"""vggprof compare on the command line: edits beside the original, what adds up in the JSON, and refusals."""

import json
import re
from math import log
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from vggprof.cli.compare import compare_command
from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.spec.edits import EXAMPLES, OPTIONS, Change, Option, parse_edits


@pytest.fixture(autouse=True)
def _no_gpu_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert run(["compare", *words, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_contract_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "lenet5", "alexnet-d2l", "--batch", "2")
    first, second = found["archs"]
    for arch in (first, second):
        assert {"name", "params", "macs", "peak_allocated_bytes", "largest_batch", "step_ms"} <= arch.keys()
        assert arch["largest_batch"] is arch["step_ms"] is arch["peak_reserved_bytes"] is None
    for quantity in ("macs", "output_bytes", "saved_bytes", "peak_allocated_bytes"):
        values = [part["value"] for part in found["attribution"] if part["quantity"] == quantity]
        assert sum(values) == pytest.approx(log(second[quantity] / first[quantity]), abs=1e-9)
        more = [row["value"] for row in found["differences"] if row["quantity"] == quantity]
        assert sum(more) == second[quantity] - first[quantity]
    assert {tuple(part)[:5] for part in found["attribution"]} == {
        ("name", "quantity", "cause", "stage", "value")
    }
    for finding in found["findings"]:
        assert {"id", "claim", "holds", "value", "text", "rule"} <= finding.keys()


def test_edits_stand_beside_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "lenet5", "--what-if", "width 2", "--what-if", "input 56")
    assert found["arch"] == ["lenet5", "lenet5 with width 2", "lenet5 with input 56"]
    causes = {
        name: {
            part["cause"]
            for part in found["attribution"]
            if (part["name"], part["quantity"]) == (name, "macs")
        }
        for name in found["arch"][1:]
    }
    assert causes == {
        "lenet5 with width 2": {"width", "classifier"},
        "lenet5 with input 56": {"resolution", "classifier"},
    }


def test_layers_are_aligned_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for align in ("order", "resolution"):
        found = as_json(capsys, "lenet5", "lenet5@classes=5", "--align", align)
        assert found["alignment"] == [{"name": "lenet5@classes=5", "align": align}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lenet5", "--what-if", "width two"], "edit 'width two': a factor above 0"),
        (["lenet5", "--what-if", "no lrn"], "edit 'no lrn': it changes nothing in lenet5"),
        (["m:f", "--what-if", "width 2"], "m:f is a factory, which is code; only specs can be edited"),
        (
            ["lenet5", "--what-if", "stem stride 28"],
            "edit 'stem stride 28': lenet5 cannot be built with it: ",
        ),
        (["lenet5"], "a comparison needs two architectures or more; got 1; name another, or an edit of it"),
    ],
)
def test_refusals_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_names_never_become_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A layer's name from a file stands in a finding, which people read as markdown."""
    file = tmp_path / "net.yaml"
    file.write_text(
        "name: net\ninput: 1x8x8\nparameters: {n: 2}\n"
        "layers: [{_c_: {conv: n, kernel: 3}}, flatten, {_f_: {linear: n}}]\n"
    )
    assert run(["compare", str(file), f"{file}@n=3", "--format", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert "\\_f\\_ alone holds" in shown
    assert " _f_ " not in shown


def test_every_kind_of_edit_is_shown_where_edits_are_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text(encoding="utf-8")
    rows = page.partition("| edit | what it does |")[2].partition("Several are separated")[0]
    listed = [edit for row in rows.splitlines() for edit in re.findall("`(.+?)`", row.split(" | ")[0])]
    (option,) = (each for each in compare_command.params if each.name == "what_if")
    assert isinstance(option, click.Option)
    for shown in (re.findall("'([^';]+)'", option.help or ""), re.findall("'(.+?)'", EXAMPLES), listed):
        edits = [parse_edits(each)[0].change for each in shown]
        assert {type(edit) for edit in edits} == set(get_args(Change))
        assert {edit.option for edit in edits if isinstance(edit, Option)} == set(OPTIONS)
