"""A trace from JSON: every index is checked before anything is made of it."""

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from vggprof.errors import FileFormatError, UsageError
from vggprof.trace.columns import Record, Table, rows
from vggprof.trace.encode import FORMAT, LATER, SCHEMA_VERSION
from vggprof.trace.setup import Setup
from vggprof.trace.values import (
    ITEM_BYTES,
    Argument,
    Born,
    Event,
    Freed,
    Kind,
    Layer,
    Mark,
    Operand,
    Operator,
    Parameter,
    Phase,
    Ran,
    Shape,
    Storage,
    Trace,
)

Item = TypeVar("Item")
Word = TypeVar("Word", bound=StrEnum)


def from_json(text: str, where: str = "trace") -> Trace:
    """Return the trace that *text* says; *where* names the text in errors.

    Raises FileFormatError for anything but a whole trace of this schema version.
    """
    try:
        fields = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{where}: not JSON: {error}") from error
    file = Record(where, fields)
    if file.fields.get("format") != FORMAT:
        raise FileFormatError(f"{where}: not a trace of vggprof; a trace says {FORMAT!r} under 'format'")
    version = file.fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise FileFormatError(
            f"{where}: a trace of schema version {version!r:.20}, but this vggprof reads {SCHEMA_VERSION}; "
            "trace the network again"
        )
    return _Decoder(file).trace()


class _Decoder:
    """The tables of a trace file, and what is made of them; every method raises FileFormatError."""

    def __init__(self, file: Record) -> None:
        self.file = file
        self.texts = file.texts("texts")
        self.shapes: list[Shape] = [tuple(shape) for shape in file.lists("shapes")]
        self.layers = file.table("layers")
        self.parameters = file.table("parameters")
        self.storages = file.table("storages")
        self.operators = file.table("operators")

    def trace(self) -> Trace:
        """Return the trace."""
        return Trace(
            arch=self.file.get("arch", str),
            setup=_setup(self.file.record("setup")),
            torch_version=self.file.get("torch_version", str),
            layers=tuple(self._layers()),
            parameters=tuple(self._parameters()),
            storages=tuple(self._storages()),
            operators=tuple(self._operators(self._operands())),
            events=tuple(self._events()),
        )

    def _layers(self) -> list[Layer]:
        table = self.layers
        outputs = table.optional_counts("output_shape", below=len(self.shapes))
        return rows(
            Layer,
            len(table),
            self._texts(table, "name"),
            self._texts(table, "module"),
            self._texts(table, "op"),
            _picks(self.shapes, table.lists("input_shapes", below=len(self.shapes))),
            (None if row is None else self.shapes[row] for row in outputs),
            table.flags("training"),
        )

    def _parameters(self) -> list[Parameter]:
        table = self.parameters
        return rows(
            Parameter,
            len(table),
            self._texts(table, "name"),
            self._shapes(table, "shape"),
            self._dtypes(table),
            table.counts("storage", below=len(self.storages)),
            table.flags("trainable"),
            table.flags("buffer"),
        )

    def _storages(self) -> list[Storage]:
        table = self.storages
        return rows(
            Storage,
            len(table),
            table.counts("nbytes"),
            self._words(table, "kind", Kind),
            table.optional_counts("layer", below=len(self.layers)),
            table.optional_counts("operator", below=len(self.operators)),
        )

    def _operands(self) -> list[Operand]:
        table = self.file.table("operands")
        return rows(
            Operand,
            len(table),
            self._texts(table, "name"),
            table.counts("storage", below=len(self.storages)),
            self._shapes(table, "shape"),
            self._shapes(table, "strides"),
            self._dtypes(table),
        )

    def _operators(self, operands: Sequence[Operand]) -> list[Operator]:
        table = self.operators
        arguments = [_arguments(self.file.where, row) for row in self.file.get("arguments", list)]
        return rows(
            Operator,
            len(table),
            self._texts(table, "name"),
            table.counts("step"),
            self._words(table, "phase", Phase),
            table.optional_counts("layer", below=len(self.layers)),
            _picks(operands, table.lists("inputs", below=len(operands))),
            _picks(operands, table.lists("outputs", below=len(operands))),
            map(arguments.__getitem__, table.counts("arguments", below=len(arguments))),
        )

    def _marks(self) -> list[Mark]:
        table = self.file.table("marks")
        steps = table.optional_counts("step")
        return rows(Mark, len(table), steps, self._words(table, "phase", Phase))

    def _events(self) -> list[Event]:
        record, marks = self.file.record("events"), self._marks()
        letters, numbers = record.get("kind", str), record.counts("of")
        targets: dict[str, Sequence[Event]] = {
            "R": _numbered(Ran, len(self.operators)),
            "B": _numbered(Born, len(self.storages)),
            "F": _numbered(Freed, len(self.storages)),
            "M": marks,
        }
        if len(letters) != len(numbers) or not targets.keys() >= set(letters):
            raise FileFormatError(f"{record.where}: needs one letter of {''.join(targets)} for each row")
        try:
            return [targets[letter][number] for letter, number in zip(letters, numbers, strict=True)]
        except IndexError as error:
            raise FileFormatError(f"{record.where}: 'of' points at a row that is not there") from error

    def _texts(self, table: Table, key: str) -> Iterator[str]:
        return map(self.texts.__getitem__, table.counts(key, below=len(self.texts)))

    def _shapes(self, table: Table, key: str) -> Iterator[Shape]:
        return map(self.shapes.__getitem__, table.counts(key, below=len(self.shapes)))

    def _dtypes(self, table: Table) -> list[str]:
        names = list(self._texts(table, "dtype"))
        unknown = set(names) - ITEM_BYTES.keys()
        if unknown:
            raise FileFormatError(f"{table.where}: {min(unknown)!r:.40} is not a dtype of a trace")
        return names

    def _words(self, table: Table, key: str, kind: type[Word]) -> list[Word]:
        names = list(self._texts(table, key))
        words = {name: _word(f"{table.where}: {key}", kind, name) for name in set(names)}
        return [words[name] for name in names]


def _picks(items: Sequence[Item], numbers: list[list[int]]) -> list[tuple[Item, ...]]:
    """Return for each of *numbers* the items that it points at."""
    pick = items.__getitem__
    return [tuple(map(pick, row)) for row in numbers]


def _numbered(kind: type[Item], count: int) -> list[Item]:
    """Return the events of one *kind* about rows 0 to *count*."""
    return rows(kind, count, range(count))


def _word(where: str, kind: type[Word], name: str) -> Word:
    """Return the member of *kind* that is called *name*."""
    try:
        return kind(name)
    except ValueError as error:
        allowed = ", ".join(member.value for member in kind)
        raise FileFormatError(f"{where}: {name!r:.40} is none of {allowed}") from error


def _setup(record: Record) -> Setup:
    """Return the setup that *record* says, field by field."""
    values: dict[str, Any] = {}
    for field, hint in get_type_hints(Setup).items():
        if field in LATER and field not in record.fields:
            continue
        kind = next((part for part in get_args(hint) if part is not NoneType), hint)
        if issubclass(kind, StrEnum):
            values[field] = _word(f"{record.where}: {field}", kind, record.get(field, str))
        else:
            values[field] = record.get(field, kind)
    try:
        return Setup(**values)
    except UsageError as error:
        raise FileFormatError(f"{record.where}: {error}") from error


def _arguments(where: str, row: object) -> tuple[tuple[str, Argument], ...]:
    """Return the arguments of one call from a list of name and value."""
    if not isinstance(row, list):
        raise FileFormatError(f"{where}: 'arguments' holds {row!r:.40} where a list belongs")
    for pair in row:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise FileFormatError(f"{where}: 'arguments' holds {pair!r:.40} where a name and a value belong")
    return tuple((name, _argument(where, value)) for name, value in row)


def _argument(where: str, value: object) -> Argument:
    """Return the value that JSON says: a list for a tuple, an object for an infinite number."""
    if isinstance(value, list):
        return tuple(_argument(where, item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict) and value.get("float") in ["inf", "-inf", "nan"]:
        return float(value["float"])
    raise FileFormatError(f"{where}: 'arguments' holds {value!r:.40}, which is no value of an argument")


def _no_constant(name: str) -> None:
    """Refuse what only Python calls JSON."""
    raise ValueError(f"{name} is not JSON")
