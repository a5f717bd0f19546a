"""Checked access to the JSON of a trace file: every value is looked at once, column by column, which is fast.

Everything here raises FileFormatError, with the file and the key at fault, for what is missing or of another
kind.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, TypeVar

from vggprof.errors import FileFormatError

Value = TypeVar("Value")


def rows(kind: type[Value], count: int, *columns: Iterable[object]) -> list[Value]:
    """Return *count* values of the frozen, slotted dataclass *kind*, one column for each of its fields.

    Calling *kind* would give the same, but sets each field through ``object.__setattr__``; filling the slots
    a column at a time takes a third of that. The columns are of one length and were checked: see `Table`.
    """
    assert not hasattr(kind, "__post_init__"), "its checks would be passed over"
    made = [object.__new__(kind) for _ in range(count)]
    for field, column in zip(fields(kind), columns, strict=True):  # type: ignore[arg-type]  # a dataclass
        deque(map(getattr(kind, field.name).__set__, made, column), maxlen=0)
    return made


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object of a file; *where* names the file and the way to the object."""

    where: str
    fields: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.fields, dict):
            raise FileFormatError(f"{self.where}: an object is needed here, not {self.fields!r:.40}")

    def get(self, key: str, kind: type[Value]) -> Value:
        """Return the value at *key*, which is exactly a *kind*: True is no int."""
        value: Any = self.fields.get(key, _MISSING)
        if value is _MISSING:
            raise FileFormatError(f"{self.where}: {key!r} is missing")
        if type(value) is not kind:
            raise FileFormatError(f"{self.where}: {key!r} must be {_NAMES[kind]}, not {value!r:.40}")
        return value

    def record(self, key: str) -> "Record":
        """Return the object at *key*."""
        return Record(f"{self.where}: {key}", self.get(key, dict))

    def table(self, key: str) -> "Table":
        """Return the object at *key*, whose values are columns of one length."""
        return Table(f"{self.where}: {key}", self.get(key, dict))

    def texts(self, key: str) -> list[str]:
        """Return the list of texts at *key*."""
        return self._of_kinds(key, {str})

    def flags(self, key: str) -> list[bool]:
        """Return the list of booleans at *key*."""
        return self._of_kinds(key, {bool})

    def counts(self, key: str, *, below: int | None = None) -> list[int]:
        """Return the list of ints at *key*, none negative; with *below*, indices into that many rows."""
        values: list[int] = self._of_kinds(key, {int})
        self._in_range(key, values, below)
        return values

    def optional_counts(self, key: str, *, below: int | None = None) -> list[int | None]:
        """Return the list of ints at *key*, as in `counts`, but each may be null."""
        values: list[int | None] = self._of_kinds(key, {int, type(None)})
        self._in_range(key, [value for value in values if value is not None], below)
        return values

    def lists(self, key: str, *, below: int | None = None) -> list[list[int]]:
        """Return the list of lists of ints at *key*, with ints as in `counts`."""
        values: list[list[int]] = self._of_kinds(key, {list})
        inner = list(chain.from_iterable(values))
        self._all_of(key, inner, {int})
        self._in_range(key, inner, below)
        return values

    def _of_kinds(self, key: str, kinds: set[type]) -> list[Any]:
        values = self.get(key, list)
        self._all_of(key, values, kinds)
        return list(values)

    def _all_of(self, key: str, values: Iterable[object], kinds: set[type]) -> None:
        other = set(map(type, values)) - kinds
        if other:
            allowed = " or ".join(sorted(_NAMES[kind] for kind in kinds))
            raise FileFormatError(
                f"{self.where}: {key!r} holds {_NAMES[other.pop()]} where {allowed} belongs"
            )

    def _in_range(self, key: str, values: Sequence[int], below: int | None) -> None:
        if not values:
            return
        if min(values) < 0:
            raise FileFormatError(f"{self.where}: {key!r} holds {min(values)}, which is negative")
        if below is not None and max(values) >= below:
            raise FileFormatError(f"{self.where}: {key!r} points at row {max(values)} of {below}")


@dataclass(frozen=True, slots=True)
class Table(Record):
    """A JSON object whose values are columns: lists of one length."""

    def __post_init__(self) -> None:
        lengths = {name: len(self.get(name, list)) for name in self.fields}
        if len(set(lengths.values())) > 1:
            raise FileFormatError(f"{self.where}: columns of different lengths: {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.fields.values()), ()))


_MISSING = object()
_NAMES = {
    bool: "a boolean",
    dict: "an object",
    float: "a fraction",
    int: "a whole number",
    list: "a list",
    str: "a text",
    type(None): "null",
}
