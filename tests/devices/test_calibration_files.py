"""Calibrations on disk: whole or an error, and never one in place of what cannot be read."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_calibrations import ONE

from vggprof.devices.calibration_files import (
    calibration_folder,
    check_writable,
    forget,
    from_json,
    remember,
    remembered,
    to_json,
)
from vggprof.devices.calibrations import Calibration
from vggprof.errors import FileFormatError, UsageError

OTHER = replace(ONE, device="Tesla T4", name="Tesla T4", uuid=None, driver=None, cudnn=None, alone=None)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path / "data"))


def test_what_is_remembered_comes_back() -> None:
    assert remembered() == ()
    remember(OTHER)
    path = remember(ONE)
    assert path.parent == calibration_folder()
    assert path.name.startswith("geforce-rtx-3060-12gb-")
    assert remembered() == (ONE, OTHER)
    assert [file.name[0] for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_the_same_gpu_and_software_takes_the_place_of_the_older_one() -> None:
    remember(ONE)
    newer = replace(ONE, measured="2026-09-09T00:00:00Z", usable_bytes=1)
    updated = replace(ONE, driver="590.1", measured="2026-08-08T00:00:00Z")
    remember(newer)
    remember(updated)
    assert remembered() == (newer, updated)  # the newest first


def test_forgetting_one_gpu_leaves_the_others() -> None:
    remember(ONE)
    remember(OTHER)
    assert forget("t4") == (OTHER,)
    assert remembered() == (ONE,)
    assert forget() == (ONE,)
    assert forget() == ()


def test_a_damaged_file_is_an_error_and_stays_as_it_is() -> None:
    path = remember(ONE)
    damaged = path.read_bytes()[:-20]
    path.write_bytes(damaged)
    for act in (remembered, check_writable, forget, lambda: remember(ONE)):
        with pytest.raises(FileFormatError, match=path.name):
            act()
    assert path.read_bytes() == damaged
    path.write_bytes(b" " * 2_000_000)
    with pytest.raises(FileFormatError, match="far larger"):
        remembered()


def altered(**fields: Any) -> str:  # noqa: ANN401
    return json.dumps({**json.loads(to_json(ONE)), **fields})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[]", "an object is needed"),
        (altered(schema_version=2), "schema version 2, and this vggprof reads 1"),
        (altered(usable_bytes=True), "'usable_bytes' must be a whole number, not True"),
        (altered(usable_bytes=0), "must be positive"),
        (altered(torch=None), "'torch' must be a text, not None"),
        (altered(loading="sometimes"), "lazy or eager"),
        (altered(method="guess"), "must be one of process, gpu, runtime"),
        (altered(runs=[{"run": "train_fp32"}]), "'stages' is missing"),
        (
            altered(runs=[{"run": "infer", "stages": []}]),
            "must be one of train_fp32",
        ),
        (
            altered(
                runs=[
                    {
                        "run": "train_fp32",
                        "stages": [{"stage": "linear", "least_bytes": 5, "most_bytes": 4}],
                    }
                ]
            ),
            "not a range of bytes",
        ),
        ("[" * 100_000, "recursion|nested"),
    ],
)
def test_what_is_no_calibration_says_why(text: str, why: str) -> None:
    with pytest.raises(FileFormatError, match=f"here.json is not a whole calibration: .*({why})"):
        from_json(text, "here.json")


def test_every_field_has_to_be_there() -> None:
    fields = json.loads(to_json(ONE))
    assert len(fields) == 15
    for missing in fields:
        with pytest.raises(FileFormatError):
            from_json(json.dumps({key: fields[key] for key in fields if key != missing}), "here.json")
    assert from_json(json.dumps(fields), "here.json") == ONE


def test_a_folder_that_cannot_be_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(UsageError, match="VGGPROF_DATA_DIR"):
        check_writable()
    with pytest.raises(UsageError, match="VGGPROF_DATA_DIR"):
        remember(ONE)


WRITER = """
import sys
from vggprof.devices.calibration_files import from_json, remember, remembered
mine = from_json(sys.stdin.read(), "stdin")
for _ in range(60):
    remember(mine)
    assert all(one.device == mine.device for one in remembered())
"""


def test_two_writers_of_one_file_leave_a_whole_one() -> None:
    versions = [replace(ONE, measured=f"2026-01-0{day}T00:00:00Z", usable_bytes=day) for day in (1, 2)]
    writers = [_started(one) for one in versions]
    assert [writer.wait() for writer in writers] == [0, 0]
    (left,) = remembered()
    assert left in versions
    assert len(list(calibration_folder().iterdir())) == 1


def _started(calibration: Calibration) -> subprocess.Popen[bytes]:
    writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE)
    assert writer.stdin is not None
    writer.stdin.write(to_json(calibration).encode())
    writer.stdin.close()
    return writer
