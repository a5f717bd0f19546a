"""Where results go: whole or not at all, in the form that was asked for."""

import os
import stat
import sys
from pathlib import Path

import pytest

from vggprof.cli.output import Output, choose_output
from vggprof.cli.run import run
from vggprof.errors import UsageError
from vggprof.forms import Form


@pytest.mark.parametrize(
    ("form", "name", "expected"),
    [
        (None, "a.md", Form.MARKDOWN),
        (None, "a.JSON", Form.JSON),
        (None, "a.csv", Form.CSV),
        (None, "a.txt", Form.TABLE),
        (None, "a", Form.TABLE),
        ("csv", "a.json", Form.CSV),  # what is said counts more than a name
        ("json", "a.xyz", Form.JSON),
    ],
)
def test_form_of_a_file(form: str | None, name: str, expected: Form, tmp_path: Path) -> None:
    assert choose_output(form, tmp_path / name) == Output(expected, tmp_path / name)


@pytest.mark.parametrize("path", [None, Path("-")])
def test_standard_output_is_a_table_unless_said_otherwise(path: Path | None) -> None:
    assert choose_output(None, path) == Output(Form.TABLE, None)
    assert choose_output("json", path) == Output(Form.JSON, None)


def test_a_suffix_that_says_nothing_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.xyz does not tell its form; end it in one of \.txt, \.md"):
        choose_output(None, tmp_path / "a.xyz")


def test_a_folder_or_a_missing_folder_is_refused_before_work_is_done(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        choose_output(None, tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        choose_output(None, tmp_path / "nowhere" / "a.md")


def test_a_name_with_a_slash_is_told_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    for option in (("list", "-o"), ("memory", "lenet5", "--svg"), ("latency", "lenet5", "--svg")):
        assert run([*option, "nodir/"]) == 2
        assert capsys.readouterr().err == "Error: nodir/ names a folder; name a file\n"


def test_file_is_written_as_utf8_with_bare_line_feeds_and_nothing_beside_it(tmp_path: Path) -> None:
    Output(Form.TABLE, tmp_path / "a.txt").write("Schicht \N{GREEK SMALL LETTER MU}\nzwei\n")
    assert (tmp_path / "a.txt").read_bytes() == b"Schicht \xce\xbc\nzwei\n"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208


def test_new_file_follows_the_umask_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        Output(Form.TABLE, tmp_path / "new").write("1\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o604)
    Output(Form.TABLE, tmp_path / "new").write("2\n")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604
    assert (tmp_path / "new").read_text() == "2\n"


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    Output(Form.TABLE, tmp_path / "link").write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"a\.txt cannot be written: No space left on device"):
        Output(Form.TABLE, path).write("new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_device_is_written_to_and_not_replaced() -> None:
    Output(Form.TABLE, Path("/dev/null")).write("gone\n")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(UsageError, match="/dev/full cannot be written: No space left"):
        Output(Form.TABLE, Path("/dev/full")).write("full\n")
    assert Path("/dev/full").is_char_device()


def test_what_the_encoding_of_standard_output_lacks_is_escaped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "stdout").open("w", encoding="ascii") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        Output(Form.TABLE, None).write("\N{GREEK SMALL LETTER MU}\udcff\n")
    assert (tmp_path / "stdout").read_text() == "\\u03bc\\udcff\n"
