"""``vggprof runs`` and ``vggprof diff`` as a user has them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from measurement_made import on_cpu

from vggprof import api
from vggprof.cli.run import run
from vggprof.measurement import Samples, Status, Timing

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def two() -> tuple[str, str]:
    """The names of two runs, the second ten times as slow."""
    fast = on_cpu(step=(10.0, 11.0, 12.0) * 2)
    slow = replace(fast, timing=Timing("monotonic", Samples((100.0, 110.0, 120.0) * 2)))
    return api.keep(fast), api.keep(slow)


def test_list_show_and_delete(two: tuple[str, str], capsys: Captured) -> None:
    assert run(["runs", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in two)
    assert run(["runs", "show", two[0]]) == 0
    assert "lenet5: measured on a CPU" in capsys.readouterr().out
    assert run(["runs", "delete", *two]) == 0
    assert run(["runs", "list", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []


def test_what_is_exported_reads_everywhere(two: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    one, both = tmp_path / "one.jsonl", tmp_path / "both.measurements"
    assert run(["runs", "export", two[0], "-o", str(one)]) == 0
    assert run(["runs", "export", *two, "-o", str(both)]) == 0
    assert api.read_measurements(one) == (api.get_run(two[0]),)
    assert api.read_measurements(both) == tuple(map(api.get_run, two))
    assert run(["runs", "show", str(both)]) == 0
    assert "2 measurements" in capsys.readouterr().out
    assert run(["diff", str(one), two[0], "--limit", "0"]) == 0
    assert run(["diff", str(both), two[0]]) == 2
    assert "both.measurements holds 2 measurements; a diff is of one with one" in capsys.readouterr().err


def test_a_regression_beyond_the_limit_exits_with_3(two: tuple[str, str], capsys: Captured) -> None:
    assert run(["diff", *two]) == 0  # without a limit it only shows
    assert run(["diff", *two, "--limit", "5%"]) == 3
    out, err = capsys.readouterr()
    assert "900.0 %" in out
    assert f"{two[1]} is worse than {two[0]} by more than 5.0%: step_ms by 900.0 %" in err
    assert run(["diff", *two, "--limit", "1000%"]) == 0
    assert run(["diff", *reversed(two), "--limit", "0.05"]) == 0


def test_a_run_that_no_longer_ends_exits_with_3(two: tuple[str, str], capsys: Captured) -> None:
    fails = api.keep(replace(on_cpu(), status=Status.OOM, timing=None, layers=(), memory=None))
    assert run(["diff", two[0], fails, "--limit", "5%"]) == 3
    assert f"{fails} did not run to its end: oom" in capsys.readouterr().err


def test_a_limit_is_not_held_against_the_wrong_run(two: tuple[str, str], capsys: Captured) -> None:
    other = api.keep(on_cpu(batch=4, step=(10.0, 11.0, 12.0) * 2))
    assert run(["diff", two[0], other]) == 0
    assert run(["diff", two[0], other, "--limit", "1000%"]) == 2
    said = f"Error: no limit can be held: {two[0]} and {other} differ in batch (2, 4)\n"
    assert capsys.readouterr().err.endswith(said)
    failed = api.keep(replace(on_cpu(), status=Status.OOM, timing=None, layers=(), memory=None))
    assert run(["diff", failed, two[0], "--limit", "5%"]) == 2
    assert "have no time or memory in common" in capsys.readouterr().err


def test_too_few_samples_decide_no_limit(two: tuple[str, str], capsys: Captured) -> None:
    few = api.keep(replace(on_cpu(), timing=Timing("monotonic", Samples((100.0, 110.0, 120.0)))))
    assert run(["diff", two[0], few, "--limit", "5%"]) == 2
    out, err = capsys.readouterr()
    assert "too few samples" in out
    assert f"{few} may be worse than {two[0]} by more than 5.0%: step_ms by 900.0 % (6 and 3 samples)" in err
    assert run(["diff", two[0], few, "--limit", "1000%"]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_an_export_to_a_full_disk_is_one_line(two: tuple[str, str], capsys: Captured) -> None:
    assert run(["runs", "export", two[0], "-o", "/dev/full"]) == 2
    assert capsys.readouterr().err == "Error: /dev/full cannot be written: No space left on device\n"
    assert run(["runs", "export", two[0], "-o", "nodir/"]) == 2
    assert "names a folder" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["five", "-1%", "5%%", "nan", "inf", ""])
def test_limits_that_make_no_sense(two: tuple[str, str], limit: str, capsys: Captured) -> None:
    assert run(["diff", *two, "--limit", limit]) == 2
    assert "is not a limit; write it like 5% or 0.05" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["runs", "show", "shy-otter"], "no run 'shy-otter' is kept"),
        (["runs", "show", "./shy-otter"], "shy-otter: cannot be read: No such file"),
        (["runs", "delete", "shy-otter"], "no run 'shy-otter' is kept"),
        (["runs", "export", "shy-otter", "-o", "x.jsonl"], "no run 'shy-otter' is kept"),
        (["diff", "shy-otter", "calm-wren"], "no run 'shy-otter' is kept"),
        (["runs", "export", "shy-otter", "-o", "-"], "name a file"),
    ],
)
def test_what_is_not_there_is_one_line(arguments: list[str], complaint: str, capsys: Captured) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_a_damaged_store_is_one_line(two: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "data" / "runs.sqlite"
    path.write_bytes(b"\x00" * 100 + b"damage" * 1000)
    for command in (["runs", "list"], ["runs", "show", two[0]], ["runs", "delete", two[0]], ["diff", *two]):
        assert run(command) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert path.read_bytes().endswith(b"damage")
