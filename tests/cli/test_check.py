"""Gates for scripts: the exit code is the answer, and the lines before it say by how much."""

import csv
import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

import vggprof
from vggprof import api, views
from vggprof.cli.run import run
from vggprof.devices import Range, Survey
from vggprof.forms import Form
from vggprof.memory.gate import Gate, Keeping
from vggprof.memory.report import MemoryReport
from vggprof.memory.verdict import Estimate, Status
from vggprof.target import Target
from vggprof.units import GIB, MIB

Captured = pytest.CaptureFixture[str]

# Without a cuDNN to ask, and on whichever machine.
LENET = ("lenet5", "--batch", "2", "--torch", "2.15")
CARD = ("--gpu", "RTX 3060")


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, no cuDNN to ask, one torch."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    monkeypatch.setattr("vggprof.target.installed_version", lambda package: "2.15.0")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def answer() -> Gate:
    return api.check("lenet5", vggprof.Setup(batch=2), Target(gpu="RTX 3060"))


def with_process(gate: Gate, status: Status, low: int, high: int) -> Gate:
    """*gate* for a training that takes *low* to *high* bytes, whatever it really takes."""
    prediction = replace(gate.card.prediction, status=status, process=Estimate(low, low, high))
    return replace(gate, report=replace(gate.report, cards=(replace(gate.card, prediction=prediction),)))


@pytest.mark.parametrize(
    ("low", "high", "limit", "keeping", "over", "passed", "passed_if_tight_may"),
    [
        (6, 8, None, None, None, True, True),
        (6, 8, 9, Keeping.WITHIN, -1, True, True),
        (6, 8, 8, Keeping.WITHIN, 0, True, True),  # to the byte
        (6, 8, 7, Keeping.TIGHT, 1, False, True),
        (6, 8, 6, Keeping.TIGHT, 2, False, True),
        (6, 8, 5, Keeping.OVER, 3, False, False),
    ],
)
def test_limit_holds_for_the_high_end_of_the_process(
    answer: Gate,
    low: int,
    high: int,
    limit: int | None,
    keeping: Keeping | None,
    over: int | None,
    passed: bool,
    passed_if_tight_may: bool,
) -> None:
    gate = replace(with_process(answer, Status.FITS, low, high), limit_bytes=limit)
    assert (gate.keeping, gate.over_bytes, gate.passed) == (keeping, over, passed)
    assert replace(gate, allow_tight=True).passed == passed_if_tight_may


@pytest.mark.parametrize(
    ("status", "passed", "passed_if_tight_may"),
    [(Status.FITS, True, True), (Status.TIGHT, False, True), (Status.OOM, False, False)],
)
def test_card_and_limit_must_both_hold(
    answer: Gate, status: Status, passed: bool, passed_if_tight_may: bool
) -> None:
    for limit in (None, 9):
        gate = replace(with_process(answer, status, 6, 8), limit_bytes=limit)
        assert (gate.passed, replace(gate, allow_tight=True).passed) == (passed, passed_if_tight_may)
    over = replace(with_process(answer, status, 6, 8), limit_bytes=5, allow_tight=True)
    assert not over.passed


def test_what_fits_is_exit_0_and_says_by_how_much(capsys: Captured) -> None:
    assert run(["check", *LENET, *CARD, "--max-memory", "4GiB"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("lenet5: check passed\n\nbatch 2, training with momentum, fp32\n")
    assert "\nGeForce RTX 3060 12GB: FITS, " in out
    assert "\nLimit of 4.00 GiB: WITHIN, the process stays " in out
    assert "\nThe whole process takes " in out
    assert out.endswith("\nWith torch 2.15 and no cuDNN to ask\n")
    assert len(out.splitlines()) == 7
    assert err == ""


def test_an_oom_is_exit_3_with_the_place_and_the_message(capsys: Captured) -> None:
    assert run(["check", "vgg16", "--batch", "512", *CARD]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("vgg16: check FAILED\n")
    assert "\nGeForce RTX 3060 12GB: OOM, " in out
    assert " too little of 11.63 GiB usable\nFails in step 0, forward, at " in out
    assert "\nPyTorch will say: CUDA out of memory. Tried to allocate " in out
    assert err.startswith("Error: vgg16 at batch 512 did not pass: GeForce RTX 3060 12GB: OOM, ")
    assert len(err.splitlines()) == 1


def test_a_process_above_the_limit_is_exit_3_on_a_card_that_it_fits(capsys: Captured) -> None:
    assert run(["check", *LENET, *CARD, "--max-memory", "100MiB"]) == 3
    out, err = capsys.readouterr()
    assert "GeForce RTX 3060 12GB: FITS, " in out
    assert "Limit of 100.00 MiB: OVER, the process can go " in out
    assert err.startswith("Error: lenet5 at batch 2 did not pass: Limit of 100.00 MiB: OVER, ")


def test_tight_is_exit_3_unless_it_may_be_tight(capsys: Captured) -> None:
    """Between the ends of the context, which are the ends of the process for a net as small as this."""
    process = api.check("lenet5", vggprof.Setup(batch=2), Target(gpu="RTX 3060")).process
    between = str((process.low + process.high) // 2)
    words = ["check", *LENET, *CARD, "--max-memory", between]
    assert process.low < int(between) < process.high
    assert run(words) == 3
    assert ": TIGHT, the process can go " in capsys.readouterr().out
    assert run([*words, "--allow-tight"]) == 0
    assert capsys.readouterr().out.startswith("lenet5: check passed\n")


def test_a_limit_alone_is_a_card_of_that_size_whatever_is_here(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_asks() -> Survey:
        raise AssertionError("what is here does not matter")

    monkeypatch.setattr("vggprof.target.survey", nobody_asks)
    assert run(["check", *LENET, "--max-memory", "8GiB"]) == 0
    assert "\n8.00 GiB GPU: FITS, " in capsys.readouterr().out
    assert run(["check", *LENET, "--max-memory", "100MiB"]) == 3
    assert "\n100.00 MiB GPU: OOM, " in capsys.readouterr().out


@pytest.mark.parametrize("size", [64 * MIB, 600 * MIB, 2 * GIB])
def test_a_card_of_the_limits_size_says_what_the_limit_says(size: int) -> None:
    gate = api.check("lenet5", vggprof.Setup(batch=2), max_memory=str(size))
    agree = {Status.FITS: Keeping.WITHIN, Status.TIGHT: Keeping.TIGHT, Status.OOM: Keeping.OVER}
    assert gate.card.prediction.device.usable == Range.exact(size)
    assert gate.keeping is agree[gate.card.prediction.status]


def test_without_a_card_it_is_exit_2_with_what_to_give(capsys: Captured) -> None:
    assert run(["check", *LENET]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: a check needs a card, and no GPU is here; name one with --gpu, ")
    assert "--gpu-memory" in err
    assert "--max-memory" in err


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--max-memory", "much"], 2, "'much' is not a memory size; write it like 8GiB"),
        (["--max-memory", "0"], 2, "a GPU cannot have 0 B of memory"),
        (["--gpu", "RTX 3606"], 2, "RTX 3606"),
        (["--gpu", "auto"], 4, "no GPU is usable here"),
    ],
)
def test_what_cannot_be_checked_is_no_failed_check(
    words: list[str], code: int, expected: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vggprof.devices.here.survey", lambda: Survey((), reason="no driver"))
    assert run(["check", *LENET, *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err


def test_json_says_all_of_it(capsys: Captured) -> None:
    assert run(["check", *LENET, *CARD, "--max-memory", "100MiB", "--format", "json"]) == 3
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (said["command"], said["arch"], said["setup"]["batch"]) == ("check", "lenet5", 2)
    assert (said["passed"], said["allow_tight"], said["limit"]) == (False, False, "OVER")
    assert said["max_memory_bytes"] == 100 * MIB
    assert said["over_bytes"] == said["prediction"]["process_bytes_high"] - 100 * MIB
    assert said["verdict"]["status"] == "FITS"
    assert len(said["assumptions"]) >= 3


def test_what_was_not_demanded_is_null(answer: Gate) -> None:
    said = json.loads(views.check(answer, Form.JSON))
    assert said["passed"] is True
    assert said["max_memory_bytes"] is said["limit"] is said["over_bytes"] is None


def test_csv_is_one_row(answer: Gate) -> None:
    (row,) = csv.DictReader(StringIO(views.check(replace(answer, limit_bytes=9 * GIB), Form.CSV)))
    assert (row["passed"], row["status"], row["limit"]) == ("true", "FITS", "WITHIN")
    assert int(row["process_bytes_high"]) - int(row["max_memory_bytes"]) == int(row["over_bytes"])


def test_markdown_says_what_the_table_says(answer: Gate) -> None:
    text = views.check(answer, Form.MARKDOWN)
    assert "lenet5: check passed" in text
    assert "GeForce RTX 3060 12GB: FITS" in text


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--gpu-memory", "64MiB"), 3),
        (("--gpu-memory", "4GiB"), 0),
        ((), 0),  # the ladder: it fits some
    ],
)
def test_fail_on_oom_prints_the_answer_as_always(words: tuple[str, ...], code: int, capsys: Captured) -> None:
    assert run(["memory", *LENET, *words]) == 0
    always = capsys.readouterr().out
    assert run(["memory", *LENET, *words, "--fail-on-oom"]) == code
    out, err = capsys.readouterr()
    assert out == always
    assert err == ("Error: lenet5 at batch 2 runs out of memory\n" if code else "")


def test_fail_on_oom_of_a_ladder_is_when_it_fits_no_card(capsys: Captured) -> None:
    assert run(["memory", "vgg16", "--batch", "4096", "--fail-on-oom"]) == 3
    assert "On common cards" in capsys.readouterr().out


def test_fail_on_oom_passes_what_is_tight(
    answer: Gate, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tight is not out of memory; `vggprof check` is stricter."""
    tight = with_process(answer, Status.TIGHT, 6, 8).report

    def give(*_asked: object, **_how: object) -> MemoryReport:
        return tight

    monkeypatch.setattr(api, "memory", give)
    assert run(["memory", *LENET, *CARD, "--fail-on-oom"]) == 0
    assert "TIGHT" in capsys.readouterr().out
