"""Files that are no specs are refused in one line, at once, whatever they are."""

import os
from pathlib import Path

import pytest

from vggprof.errors import FileFormatError, UsageError
from vggprof.spec import read_spec

SPEC = "input: 3x8x8\nlayers: [relu]\n"


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_spec(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.yaml") == f"there is no file {tmp_path / 'no.yaml'}"


def test_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} is a folder; name the spec file in it"


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\r\n"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.yaml"
    path.write_bytes(content)
    assert refusal(path) == f"{path} is empty; a spec says at least `input:` and `layers:`"


def test_hundred_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as stream:
        stream.write(SPEC.encode())
        stream.truncate(100 * 2**20)
    assert refusal(path) == f"{path} is larger than 1 MiB; a spec is a few kilobytes of text"


def test_the_largest_spec_is_one_mebibyte(tmp_path: Path) -> None:
    path = tmp_path / "full.yaml"
    path.write_text(SPEC + "#" * (2**20 - len(SPEC)))
    assert read_spec(path).name == "full"
    path.write_text(SPEC + "#" * (2**20 - len(SPEC) + 1))
    assert "larger than 1 MiB" in refusal(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n", "is not text in UTF-8: byte 1 is wrong"),
        (b"name: caf\xe9\n", "is not text in UTF-8: byte 10 is wrong"),
        (b"PK\x03\x04", "is not text: line 1 holds the character U+0003"),
        (b"name: x\ninput: \x00\n", "is not text: line 2 holds the character U+0000"),
        ("input: 3x8x8".encode("utf-16"), "is not text in UTF-8: byte 1 is wrong"),
    ],
)
def test_binary(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(content)
    assert refusal(path) == f"{path} {what}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are Unix")
def test_a_pipe_that_nobody_writes_to_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    assert refusal(path) == f"there is no file {path}"


def test_a_name_too_long_for_the_file_system(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000))


def test_a_mark_of_byte_order_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SPEC.replace("\n", "\r\n").encode())
    assert read_spec(path).input == (3, 8, 8)


def test_files_that_are_no_text_have_a_class_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.touch()
    with pytest.raises(FileFormatError):
        read_spec(path)
