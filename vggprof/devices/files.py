"""A device from a file of the user's own, YAML or JSON, in the form of ``device.schema.json``."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vggprof.devices.catalogue import device_of_row
from vggprof.devices.device import Device
from vggprof.errors import DeviceError, FileFormatError, Problem, SpecError, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from yaml import Node, YAMLError

SUFFIXES: Final = (".yaml", ".yml", ".json")

# A device takes less than a kilobyte; anything far above is another kind of file.
_MAX_BYTES: Final = 64 * 1024
_MAX_BRACKETS: Final = 200  # PyYAML takes seconds over thousands that are never closed

_Path = tuple[str | int, ...]  # of a value in the file: ("totals", 0, "bytes")
_Places = dict[_Path, tuple[int, int]]  # line and column, from 1


def names_a_file(text: str) -> bool:
    """Tell whether *text*, given where a GPU is named, is the path of a device file."""
    return text.lower().endswith(SUFFIXES)


def load_device(path: str | Path) -> Device:
    """Return the device that the file at *path* describes.

    Raises FileFormatError when it cannot be read as YAML or JSON, and SpecError with every missing, unknown
    or senseless field at its line and column.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - slow to load, and only device files need it

    from vggprof.devices.row import DeviceRow  # noqa: PLC0415

    file = Path(path)
    data, places = _read(file)
    try:
        DeviceRow.model_validate(data)
    except ValidationError as error:
        problems = [_problem(file, one, places, tuple(DeviceRow.model_fields)) for one in error.errors()]
        raise SpecError(sorted(problems, key=lambda problem: (problem.line, problem.column))) from error
    try:
        return device_of_row(data)
    except DeviceError as error:
        raise SpecError([Problem(str(file), *places.get(("capability",), (1, 1)), str(error))]) from error


def _read(file: Path) -> tuple[Mapping[str, Any], _Places]:
    """Return what the file holds and where each value stands; FileFormatError when it is not a mapping."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot read {file}: {error.strerror or error}") from error
    if len(raw) > _MAX_BYTES:
        raise FileFormatError(f"{file} has {len(raw)} bytes; a device file has at most {_MAX_BYTES}")
    if raw.count(b"[") + raw.count(b"{") > _MAX_BRACKETS:
        raise FileFormatError(f"{file} holds far more lists or mappings than a device file")
    try:
        data, places = _parse(raw.decode("utf-8-sig"), as_json=file.suffix.lower() == ".json")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{file} is not UTF-8 text") from error
    except RecursionError as error:
        raise FileFormatError(f"{file} is nested too deeply for a device file") from error
    except ValueError as error:
        raise FileFormatError(f"{file}: {error}") from error
    if not isinstance(data, Mapping):
        raise FileFormatError(f"{file} holds no fields; a device file is a mapping such as `name: My GPU`")
    return data, places


def _parse(text: str, *, as_json: bool) -> tuple[object, _Places]:
    """Return the data of *text* and where its values stand; ValueError, one line, when it is malformed.

    JSON may hold tabs, which YAML refuses; then the places are not known.
    """
    import yaml  # noqa: PLC0415 - only device files need it

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        places = {} if node is None else _places(node)
        data = None if as_json or node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        if not as_json:
            raise ValueError(_one_line(error)) from error
        places = {}
    finally:
        loader.dispose()
    return (json.loads(text) if as_json else data), places


def _places(node: "Node", path: _Path = ()) -> _Places:
    """Return line and column of every value below *node*; ValueError for a key given twice."""
    import yaml  # noqa: PLC0415

    found: _Places = {path: (node.start_mark.line + 1, node.start_mark.column + 1)}
    if isinstance(node, yaml.MappingNode):
        keys = Counter(str(key.value) for key, _ in node.value)
        for key, value in node.value:
            if keys[str(key.value)] > 1:
                raise ValueError(f"line {key.start_mark.line + 1}: {key.value!r} is given more than once")
            found |= _places(value, (*path, str(key.value)))
            found[*path, str(key.value)] = (key.start_mark.line + 1, key.start_mark.column + 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found |= _places(value, (*path, index))
    return found


def _one_line(error: "YAMLError") -> str:
    """Return what is malformed and where."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _problem(file: Path, details: "ErrorDetails", places: _Places, allowed: tuple[str, ...]) -> Problem:
    """Return what pydantic found wrong, at its place, in our words."""
    path: _Path = details["loc"]
    field = ".".join(str(part) for part in path)
    match details["type"]:
        case "missing":
            message, path = f"{field} is missing", path[:-1]
        case "extra_forbidden":
            message = f"unknown field {field!r}{did_you_mean(field, allowed)}"
        case "string_type":
            message = f"{field} must be text; write it in quotes, not {details['input']!r}"
        case _:
            message = f"{field}: {details['msg'][:1].lower()}{details['msg'][1:]}, not {details['input']!r}"
    return Problem(str(file), *places.get(path, (1, 1)), message)
