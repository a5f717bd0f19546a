"""Exit codes and messages: one clear line, no traceback unasked, nothing written on failure."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from vggprof import api
from vggprof.cli.group import COMMANDS
from vggprof.cli.run import run
from vggprof.errors import CheckFailed, GpuUnavailable, Problem, SpecError

Captured = pytest.CaptureFixture[str]


def test_help_names_every_command_and_what_a_factory_is(capsys: Captured) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in COMMANDS)
    assert "A factory is code that runs" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    assert run([command, "--help"]) == 0
    assert f"Usage: vggprof {command} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["memroy", "vgg16"], f"there are {', '.join(COMMANDS)}; did you mean 'memory'?"),
        (["memory", "vgg61"], "unknown architecture 'vgg61'; did you mean 'vgg1"),
        (["memory"], "Missing argument 'ARCH'"),
        (["memory", "vgg16", "--batch", "0"], "batch 0 cannot be run; it must be between 1 and 16777216"),
        (["memory", "vgg16", "--batch", "1" + 20 * "0"], "cannot be run; it must be between 1 and"),
        (["memory", "vgg16", "--batch", "many"], "'many' is not a valid integer"),
        (["memory", "vgg16", "--dtype", "fp16"], "use --amp fp16, or --mode infer"),
        (["memory", "vgg16", "--mode", "infer", "--optimizer", "adam"], "optimizer is for training"),
        (["latency", "vgg16", "--mode", "infer", "--optimizer", "adam"], "optimizer is for training"),
        (["memory", "vgg16", "--optimizer", "custom"], "'custom' is not one of"),
        (["layers", "vgg16", "--format", "html"], "'html' is not one of"),
        (["layers", "no_such_module:net"], "no_such_module"),
        (["layers", "./nowhere.yaml"], "nowhere.yaml"),
        (["compare", "vgg16"], "a comparison needs two architectures or more; got 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_exit_2_with_one_line_and_no_result(
    words: list[str], expected: str, capsys: Captured
) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in err


def test_problems_of_a_spec_stay_as_an_editor_finds_them(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise SpecError([Problem("a.yaml", 3, 5, "bad"), Problem("a.yaml", 9, 1, "worse")])

    monkeypatch.setattr(api, "list_specs", broken)
    assert run(["list"]) == 2
    assert capsys.readouterr().err == "a.yaml:3:5: bad\na.yaml:9:1: worse\n"


@pytest.mark.parametrize(("error", "code"), [(CheckFailed("a"), 3), (GpuUnavailable("b"), 4)])
def test_errors_carry_their_exit_code(
    error: Exception, code: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "list_specs", _raise(error))
    assert run(["list"]) == code
    assert capsys.readouterr().err == f"Error: {error}\n"


def test_a_fault_of_ours_is_one_line_that_says_how_to_see_more(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "list_specs", _raise(ZeroDivisionError("two\nlines")))
    assert run(["list"]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "fault of vggprof: ZeroDivisionError: two lines" in err
    assert "vggprof --debug" in err


def test_debug_shows_the_traceback(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "list_specs", _raise(ZeroDivisionError("x")))
    assert run(["--debug", "list"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_interrupted_is_130(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "list_specs", _raise(KeyboardInterrupt()))
    assert run(["list"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_failure_leaves_the_file_as_it_was(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    assert run(["layers", "vgg61", "-o", str(path)]) == 2
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_result_goes_to_the_file_and_nothing_to_standard_output(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "specs.json"
    assert run(["list", "-o", str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    assert "vgg16" in [spec["name"] for spec in json.loads(path.read_text())["specs"]]


def test_options_come_from_the_environment(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGGPROF_LIST_FORMAT", "json")
    assert run(["list"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == "list"
    monkeypatch.setenv("VGGPROF_MEMORY_BATCH", "0")
    assert run(["memory", "vgg16"]) == 2
    assert "batch 0 cannot be run" in capsys.readouterr().err


def test_output_is_plain_whatever_the_terminal_promises(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    assert run(["list"]) == 0
    narrow = capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["list"]) == 0
    assert capsys.readouterr().out == narrow
    assert "\x1b" not in narrow


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "vggprof", "list"]
    with open(writer, "wb") as gone:  # noqa: PTH123 - a descriptor
        done = subprocess.run(command, cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_standard_output_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vggprof", "list"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "Error: standard output cannot be written: No space left on device\n"


def test_closed_standard_output_is_said(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it when started with it closed
    assert run(["list"]) == 2
    assert capsys.readouterr().err == "Error: standard output is closed; name a file with -o\n"


def test_who_asked_to_be_told_at_exit_is_told() -> None:
    code = (
        "import atexit, gc, sys\n"
        "from vggprof.cli import main\n"
        "atexit.register(lambda: print('told', gc.get_threshold()[0] > 10_000, file=sys.stdout))\n"
        "atexit.register(lambda: sys.stderr.write('and here'))\n"
        "main(['list', '--nonsense'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "told True\n")
    assert done.stderr.endswith("and here")


def _raise(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail
