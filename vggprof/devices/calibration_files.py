"""Calibrations on disk: a file each in the user's data folder, so that writers of different ones never meet.

A file is written beside its place and moved there, so readers see all of it or none. One that cannot be read
as a calibration is an error, and stays as it is: it may be somebody's only copy. ``VGGPROF_DATA_DIR`` names
another folder.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from vggprof.devices.calibrations import (
    Calibration,
    MeasuredRun,
    Method,
    Run,
    Stage,
    StageBytes,
    calibrations_of,
)
from vggprof.errors import FileFormatError, UsageError
from vggprof.files import write_whole
from vggprof.kept import DATA_VARIABLE, data_directory

# The layout of a file; another number is another folder.
SCHEMA_VERSION: Final = 1

_MAX_BYTES: Final = 1 << 20  # a calibration takes some 5 KB
_TEXTS: Final = ("device", "name", "torch", "measured", "vggprof")
_TEXTS_OR_NULL: Final = ("uuid", "driver", "cuda", "cudnn")
_NAMES: Final = {
    str: "a text",
    int: "a whole number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}

Word = TypeVar("Word", bound=StrEnum)
Value = TypeVar("Value")


def calibration_folder() -> Path:
    """Return the folder of calibrations, which need not exist."""
    return data_directory() / f"calibrations-{SCHEMA_VERSION}"


def remembered() -> tuple[Calibration, ...]:
    """Return every calibration that is remembered, by GPU, the newest of each first.

    Raises FileFormatError for a file in the folder that is not whole.
    """
    found = [calibration for _, calibration in _files()]
    newest_first = sorted(found, key=lambda one: one.measured, reverse=True)
    return tuple(sorted(newest_first, key=lambda one: one.device))


def check_writable() -> None:
    """Make the folder. Raises UsageError where it cannot be written, FileFormatError for a damaged file."""
    folder = calibration_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(_unwritable(folder, error)) from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder} cannot be written; name another folder with {DATA_VARIABLE}")
    remembered()


def remember(calibration: Calibration) -> Path:
    """Keep *calibration* in the place of an older one of the same GPU and software, and return its file.

    Raises UsageError where the folder cannot be written, FileFormatError where what is in its place is not a
    calibration; that is left as it is.
    """
    path = calibration_folder() / _file_name(calibration)
    if path.exists():
        _read(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_json(calibration).encode())
    except OSError as error:
        raise UsageError(_unwritable(path.parent, error)) from error
    return path


def times_file(calibration: Calibration) -> Path:
    """Return the place of the times that were measured with *calibration*: a file of measurements beside it.

    There is none where no step could be timed.
    """
    return (calibration_folder() / _file_name(calibration)).with_suffix(".jsonl")


def forget(gpu: str = "") -> tuple[Calibration, ...]:
    """Drop the calibrations of *gpu*, with their times (words of its name, or its UUID), and return them.

    Raises UsageError where a file cannot be removed, FileFormatError for one that is damaged, which stays.
    """
    files = _files()
    chosen = calibrations_of([calibration for _, calibration in files], gpu)
    for path, calibration in files:
        if calibration in chosen:
            try:
                path.with_suffix(".jsonl").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UsageError(f"{path} cannot be removed: {error.strerror}") from error
    return chosen


def to_json(calibration: Calibration) -> str:
    """Return the text of *calibration*'s file."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(calibration)}, indent=1) + "\n"


def from_json(text: str, where: str) -> Calibration:
    """Return the calibration that *text* says. Raises FileFormatError, naming *where*, for anything else."""
    try:
        return _calibration(_typed(json.loads(text), dict))
    except (ValueError, RecursionError) as error:  # also not JSON, and what the values themselves refuse
        raise FileFormatError(
            f"{where} is not a whole calibration: {error}; repair it or move it away"
        ) from error


def _files() -> list[tuple[Path, Calibration]]:
    """Return each file with what it says; one that another process has just removed is not there."""
    found = []
    for path in sorted(calibration_folder().glob("*.json")):
        with suppress(FileNotFoundError):
            found.append((path, _read(path)))
    return found


def _read(path: Path) -> Calibration:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise FileFormatError(f"{path} is far larger than a calibration; move it away")
    return from_json(raw.decode("utf-8", "replace"), str(path))


def _calibration(fields: dict[str, Any]) -> Calibration:
    """Return the calibration of *fields*. Raises ValueError for what is missing or of another kind."""
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"it has schema version {version!r:.20}, and this vggprof reads {SCHEMA_VERSION}")
    alone = _get(fields, "alone", bool, null=True)
    usable = _get(fields, "usable_bytes", int)
    if usable <= 0:
        raise ValueError(f"'usable_bytes' must be positive, not {usable}")
    loading = _get(fields, "loading", str)
    if loading not in ("lazy", "eager"):
        raise ValueError(f"'loading' must be lazy or eager, not {loading!r:.20}")
    return Calibration(
        **{key: _get(fields, key, str) for key in _TEXTS},
        **{key: _get(fields, key, str, null=True) for key in _TEXTS_OR_NULL},
        loading="eager" if loading == "eager" else "lazy",
        usable_bytes=usable,
        method=_word(Method, fields, "method"),
        alone=alone,
        runs=tuple(_run(_typed(one, dict)) for one in _get(fields, "runs", list)),
    )


def _run(fields: dict[str, Any]) -> MeasuredRun:
    stages = tuple(_stage(_typed(one, dict)) for one in _get(fields, "stages", list))
    return MeasuredRun(_word(Run, fields, "run"), stages)


def _stage(fields: dict[str, Any]) -> StageBytes:
    least, most = (_get(fields, key, int) for key in ("least_bytes", "most_bytes"))
    return StageBytes(_word(Stage, fields, "stage"), least, most)


def _word(kind: type[Word], fields: dict[str, Any], key: str) -> Word:
    said = _get(fields, key, str)
    words = [member.value for member in kind]
    if said not in words:
        raise ValueError(f"{key!r} must be one of {', '.join(words)}, not {said!r:.40}")
    return kind(said)


def _get(fields: dict[str, Any], key: str, kind: type[Value], *, null: bool = False) -> Any:  # noqa: ANN401
    """Return the value at *key*: exactly a *kind* (True is no whole number), or null where *null* allows."""
    if key not in fields:
        raise ValueError(f"{key!r} is missing")
    value = fields[key]
    if type(value) is not kind and not (null and value is None):
        raise ValueError(f"{key!r} must be {_NAMES[kind]}, not {value!r:.40}")
    return value


def _typed(value: object, kind: type[Value]) -> Value:
    if type(value) is not kind:
        raise ValueError(f"{_NAMES[kind]} is needed, not {value!r:.40}")
    return value


def _file_name(calibration: Calibration) -> str:
    """Return the name for this GPU and software, readable and different for each."""
    one = calibration
    key = (one.device, one.name, one.uuid, one.driver, one.torch, one.cuda, one.cudnn, one.loading)
    slug = re.sub(r"[^a-z0-9]+", "-", one.device.lower()).strip("-")
    return f"{slug[:60]}-{sha256(repr(key).encode()).hexdigest()[:12]}.json"


def _unwritable(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written: {error.strerror}; name another folder with {DATA_VARIABLE}"
