"""Advice: what it promises is what comes out when the advised command is run, and it costs what it says."""

import csv
import json
import shlex
from io import StringIO
from typing import Any

import pytest

import vggprof
from vggprof import api, views
from vggprof.analyzers import operator_macs
from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.forms import Form
from vggprof.memory.advice import CLEARLY, search
from vggprof.memory.advice.changes import Checkpoint
from vggprof.memory.verdict import Status
from vggprof.target import Target
from vggprof.trace import Setup, Trace
from vggprof.units import format_bytes

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, no cuDNN to ask, one torch."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    monkeypatch.setattr("vggprof.target.installed_version", lambda package: "2.15.0")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)


def asked(words: str, capsys: Captured) -> dict[str, Any]:
    """What the command line answers, as JSON."""
    assert run([*shlex.split(words), "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# A small card and a large batch each; settings that can be switched off; inference; options of the target.
QUESTIONS = [
    "alexnet --batch 256 --gpu-memory 3GiB --optimizer adam --zero-grad zero",
    "alexnet --batch 512 --gpu-memory 2GiB --mode infer",
    "vgg11_bn@classes=10,input=3x64x64 --batch 64 --gpu-memory 2.2GiB --cudnn-benchmark --deterministic",
    "resnet18 --batch 96 --gpu 'RTX 3060' --gpu-memory 3GiB --no-tf32 --allocator max_split_size_mb:64",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_advised_setup_gives_what_was_promised(question: str, capsys: Captured) -> None:
    answer = asked(f"advise {question}", capsys)
    first = asked(f"memory {question}", capsys)
    assert first["verdict"]["status"] != "FITS"
    assert first["advice"] == answer["advice"]
    assert first["advice_search"] == answer["advice_search"]
    assert len(answer["advice"]) >= 2
    before = first["prediction"]["process_bytes_high"]
    for advice in answer["advice"]:
        again = asked(advice["setup"].removeprefix("vggprof "), capsys)
        promised = {key: value for key, value in advice.items() if key.startswith("process_bytes")}
        assert {key: again["prediction"][key] for key in promised} == promised
        assert again["verdict"]["status"] == advice["status"]
        assert advice["fits"] == (advice["status"] == "FITS")
        assert advice["saves_bytes"] == before - advice["process_bytes_high"] >= 0
        assert advice["fits"] or advice["saves_bytes"] >= CLEARLY * before
        assert advice["how"]
        assert advice["cost"]


def test_what_saves_most_comes_first_and_one_is_the_cheapest(capsys: Captured) -> None:
    advice = asked(f"advise {QUESTIONS[0]}", capsys)["advice"]
    saved = [each["saves_bytes"] for each in advice]
    assert saved == sorted(saved, reverse=True)
    cheapest = [each for each in advice if each["cheapest"]]
    assert len(cheapest) == 1
    assert cheapest[0]["fits"]


def test_memory_advises_on_one_card_that_it_does_not_fit(capsys: Captured) -> None:
    for words in ("lenet5 --gpu 'RTX 3060'", "lenet5"):
        answer = asked(f"memory {words}", capsys)
        assert answer["advice"] is None
        assert answer["advice_search"] is None


def test_where_it_fits_what_saves_clearly_is_told_without_a_search(capsys: Captured) -> None:
    answer = asked("advise alexnet --batch 256 --gpu 'RTX 3060'", capsys)
    assert answer["verdict"]["status"] == "FITS"
    assert answer["advice"]
    assert answer["advice_search"] is None
    assert not any(each["cheapest"] for each in answer["advice"])


def test_hopeless_says_what_was_searched(capsys: Captured) -> None:
    words = ["advise", "vgg16", "--batch", "2", "--gpu-memory", "600MiB"]
    assert run(words) == 0
    shown = capsys.readouterr().out
    answer = asked(shlex.join(words), capsys)
    assert answer["advice_search"]["complete"]
    assert not any(each["fits"] for each in answer["advice"])
    assert f"None of {answer['advice_search']['combinations']:,} combinations of changes fits." in shown


def test_forms_tell_the_same(capsys: Captured) -> None:
    report = api.advise("alexnet", Setup(batch=256), Target(gpu_memory="3GiB"))
    assert report.advice is not None
    rows = list(csv.DictReader(StringIO(views.advice(report, Form.CSV))))
    told = json.loads(views.advice(report, Form.JSON))["advice"]
    assert [row["change"] for row in rows] == [each["change"] for each in told]
    assert [int(row["saves_bytes"]) for row in rows] == [each["saves_bytes"] for each in told]
    table, markdown = views.advice(report, Form.TABLE), views.advice(report, Form.MARKDOWN)
    for each in report.advice.advice:
        assert each.name in table
        assert each.name in markdown
        assert each.command is not None
    assert report.advice.cheapest is not None
    assert f"Cheapest that fits: {report.advice.cheapest.name}" in table
    assert report.advice.cheapest.name in views.memory(report, Form.TABLE)


def test_of_a_live_module_only_settings_are_changed() -> None:
    trace = api.trace_arch("alexnet", Setup(batch=256))
    report = vggprof.advise(trace, target=Target(gpu_memory="2GiB", benchmark=True))
    assert report.advice is not None
    assert report.single is not None
    assert report.single.prediction.status is not Status.FITS
    assert report.advice.advice
    assert all(each.command is None for each in report.advice.advice)
    assert json.loads(views.advice(report, Form.JSON))["advice"][0]["setup"] is None


def test_advice_needs_a_card(capsys: Captured) -> None:
    assert run(["advise", "lenet5"]) == 2
    assert "advice needs a card" in capsys.readouterr().err


def test_singles_that_fit_are_named_where_the_search_ends_early(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only less that learns helps one image, which the search comes to after all that is cheaper."""
    monkeypatch.setattr(search, "MAX_TRACED", 0)
    words = ["advise", "vgg16", "--batch", "1", "--optimizer", "adam", "--gpu", "GTX 1650"]
    assert run(words) == 0
    shown = capsys.readouterr().out
    answer = asked(shlex.join(words), capsys)
    fitting = [each for each in answer["advice"] if each["fits"]]
    cheapest = [each for each in fitting if each["cheapest"]]
    assert len(fitting) >= 2
    assert [each["change"] for each in cheapest] == ["momentum optimizer"]
    assert "--optimizer momentum" in cheapest[0]["setup"]  # said, though it is the default
    assert not answer["advice_search"]["complete"]
    assert "This fits: momentum optimizer\nNot proved the cheapest:" in shown


def test_a_large_batch_on_a_small_card_is_made_to_fit(capsys: Captured) -> None:
    """That fits is what `vggprof memory` says of it too, with as many images a step."""
    answer = asked("advise vgg16 --batch 128 --gpu 'GTX 1650'", capsys)
    (named,) = [each for each in answer["advice"] if each["cheapest"]]
    assert named["fits"]
    again = asked(named["setup"].removeprefix("vggprof "), capsys)
    assert again["verdict"]["status"] == "FITS"
    assert again["setup"]["batch"] * again["setup"]["accumulate"] == 128


def test_one_stage_is_told_of_where_it_saves_more_than_all() -> None:
    report = api.advise("vgg16", Setup(batch=32), Target(gpu="A100 80GB"))
    assert report.advice is not None
    one, every = (
        next(each for each in report.advice.advice if each.name == f"{name} checkpointed")
        for name in ("stage1", "every stage but the classifier")
    )
    assert one.prediction.process.high < every.prediction.process.high
    assert 0 < one.extra_macs < every.extra_macs


def test_table_says_what_savings_count_against_and_the_high_ends() -> None:
    endless = "What was asked does not fit: it, and so what is saved, counts as on a card without end."
    small, large = (
        api.advise("alexnet", Setup(batch=256), Target(gpu_memory=memory)) for memory in ("2GiB", "24GiB")
    )
    assert endless in views.advice(small, Form.TABLE)
    shown = views.advice(large, Form.TABLE)
    assert endless not in shown
    assert large.advice is not None
    for each in large.advice.advice:
        assert format_bytes(each.prediction.process.high) in shown
    assert "at most" in shown


def step_macs(trace: Trace) -> int:
    return sum(operator_macs(operator) or 0 for operator in trace.step_operators(0))


def test_checkpoints_cost_as_many_macs_as_is_said() -> None:
    report = api.advise("vgg11", Setup(batch=32), Target(gpu_memory="24GiB"))
    assert report.advice is not None
    advised = [each for each in report.advice.advice if isinstance(each.changes[0], Checkpoint)]
    assert advised
    before = step_macs(api.trace_arch("vgg11", Setup(batch=32)))
    for each in advised:
        changed = each.changes[0]
        assert isinstance(changed, Checkpoint)
        trace = api.trace_arch("vgg11", Setup(batch=32, checkpoint=changed.text))
        assert each.extra_macs == step_macs(trace) - before > 0
