"""A measurement from JSON, strictly: every value is looked at, and what is not as described is refused.

Everything here raises FileFormatError, with the file and the way to the value at fault.
"""

import json
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

from vggprof.errors import FileFormatError, UsageError, did_you_mean
from vggprof.measurement.encode import FORMAT, ROWS, SCHEMA_VERSION
from vggprof.measurement.values import Measurement

Value = TypeVar("Value")

# Addresses and sizes are 64 bits wide.
MAX_INTEGER = 2**64 - 1
_BELOW_ZERO = "temperature_c"  # nothing else ever is
_NAMES = {
    bool: "a boolean",
    float: "a number",
    int: "a whole number",
    str: "a text",
}


def from_json(text: str, where: str) -> Measurement:
    """Return the measurement that the JSON document *text* holds; *where* begins every complaint."""
    return from_document(parse(text, where), where)


def parse(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what the JSON document *text* holds; it knows no NaN and no infinity."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{where}: not whole JSON: {error}") from error


def from_document(document: object, where: str) -> Measurement:
    """Return the measurement in *document*, which is JSON already read."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FileFormatError(f"{where}: not a measurement; one says {FORMAT!r} as its format")
    version = document.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise FileFormatError(
            f"{where}: schema_version is {version!r:.40}; this vggprof reads {SCHEMA_VERSION}, and another "
            "one may read this"
        )
    return value_of(Measurement, document.get("measurement"), f"{where}: measurement")


def value_of(kind: type[Value], said: object, where: str) -> Value:
    """Return the value of *kind*, a dataclass, that the object *said* holds."""
    made = _value(kind, said, where)
    assert isinstance(made, kind)
    return made


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _value(hint: Any, said: object, where: str) -> Any:  # noqa: ANN401 - values of all types
    """Return the value of type *hint* that *said* says."""
    if isinstance(hint, UnionType):
        (inner,) = (part for part in get_args(hint) if part is not NoneType)
        return None if said is None else _value(inner, said, where)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), said, where)
    if hint in ROWS:
        values = said if _fits(said, hint) else _tuple(tuple(_hints(hint).values()), said, where)
        return hint(*values)
    if isinstance(hint, type) and is_dataclass(hint):
        return _object(hint, said, where)
    if issubclass(hint, StrEnum):
        return _word(hint, said, where)
    return _plain(hint, said, where)


def _fits(said: object, kind: type) -> TypeGuard[list[Any]]:
    """Whether *said* is a list of the values of *kind*, all plain: a quick look, for there are thousands."""
    allowed = _row_types(kind)
    return (
        type(said) is list
        and len(said) == len(allowed)
        and all(type(value) in types for value, types in zip(said, allowed, strict=True))
        and all(0 <= value <= MAX_INTEGER for value in said if type(value) is int)
    )


@cache
def _row_types(kind: type) -> tuple[frozenset[type], ...]:
    return tuple(frozenset(get_args(hint) or (hint,)) for hint in _hints(kind).values())


def _plain(hint: type, said: object, where: str) -> object:
    """Return a text, a boolean or a number; a whole number may stand for any number."""
    if type(said) is not hint and not (hint is float and type(said) is int):
        raise FileFormatError(f"{where} must be {_NAMES[hint]}, not {said!r:.40}")
    if not isinstance(said, int | float):
        return said
    low = -MAX_INTEGER if where.endswith(_BELOW_ZERO) else 0
    if not low <= said <= MAX_INTEGER:  # nor infinity
        raise FileFormatError(f"{where}: {said!r:.40} is not between {low} and {MAX_INTEGER}")
    return float(said) if hint is float else said


def _tuple(hints: tuple[Any, ...], said: object, where: str) -> tuple[Any, ...]:
    """Return a list's values: any number of one type, or as many as there are types."""
    if not isinstance(said, list):
        raise FileFormatError(f"{where} must be a list, not {said!r:.40}")
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(said)
    if len(said) != len(hints):
        raise FileFormatError(f"{where} must hold {len(hints)} values, not {len(said)}")
    pairs = zip(hints, said, strict=True)
    return tuple(_value(hint, item, f"{where}[{at}]") for at, (hint, item) in enumerate(pairs))


def _object(kind: type, said: object, where: str) -> Any:  # noqa: ANN401 - a value of that kind
    """Return the dataclass *kind* that an object says; what has a default may be left out."""
    if not isinstance(said, dict):
        raise FileFormatError(f"{where} must be an object, not {said!r:.40}")
    hints = _hints(kind)
    for key in said:
        if key not in hints:
            raise FileFormatError(f"{where}: unknown key {key!r:.40}{did_you_mean(key, tuple(hints))}")
    for key in _needed(kind):
        if key not in said:
            raise FileFormatError(f"{where}: {key!r} is missing")
    return _made(kind, {key: _value(hints[key], said[key], f"{where}.{key}") for key in said}, where)


def _made(kind: type, values: dict[str, Any], where: str) -> Any:  # noqa: ANN401 - a value of that kind
    try:
        return kind(**values)
    except (UsageError, ValueError) as error:
        raise FileFormatError(f"{where}: {error}") from error


def _word(kind: type[StrEnum], said: object, where: str) -> StrEnum:
    words = [member.value for member in kind]
    if said not in words:
        near = did_you_mean(said, words) if isinstance(said, str) else ""
        raise FileFormatError(f"{where}: {said!r:.40} is none of {', '.join(words)}{near}")
    return kind(said)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _needed(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - a dataclass
    return tuple(field.name for field in fields(kind) if field.default is MISSING)
