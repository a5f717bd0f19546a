"""What a result says to people, before it takes a form: a title, lines, tables, notes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, assert_never

from vggprof.trace.values import Shape
from vggprof.units import format_bytes, format_count

Cell: TypeAlias = "int | float | str | bool | Shape | None"


class Unit(Enum):
    """How the cells of a column are said; what is not known is a dash in every column."""

    TEXT = "text"
    SHAPE = "shape"  # 1x64x224x224
    EXACT = "exact"  # 138,357,544
    COUNT = "count"  # 15.47 G
    BYTES = "bytes"  # 98.00 MiB; nothing is a bare 0
    NUMBER = "number"  # 12.35
    RATIO = "ratio"  # 10.65 x
    PERCENT = "percent"  # 12.3 %, of a share of 1
    SAID = "said"  # already as people read it; for columns that mix units


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and how the cells under it are said."""

    title: str
    unit: Unit

    @property
    def left(self) -> bool:
        """Whether its cells begin at the left; numbers end at the right."""
        return self.unit is Unit.TEXT or self.unit is Unit.SHAPE


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under columns. Raises ValueError for a row of another length."""

    title: str  # "" where the document's own title is enough
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.title!r} has not {len(self.columns)} cells")

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Every cell as people read it."""
        units = [column.unit for column in self.columns]
        return tuple(tuple(map(say, row, units)) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Notes:
    """Sentences under a heading, an item each; a document leaves out notes without any."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, a line each."""

    items: tuple[str, ...]


Block: TypeAlias = Table | Notes | Lines


@dataclass(frozen=True, slots=True)
class Document:
    """A whole result."""

    title: str
    blocks: tuple[Block, ...]


def say(cell: Cell, unit: Unit) -> str:  # noqa: PLR0911 - a unit each
    """Return *cell* as people read it: ``-`` for None, ``15.47 G``, ``98.00 MiB``, ``1x64x224x224``."""
    if cell is None:
        return "-"
    match unit:
        case Unit.TEXT | Unit.SAID:
            return printable(str(cell))
        case Unit.SHAPE:
            return say_shape(cell) if isinstance(cell, tuple) else printable(str(cell))
        case Unit.EXACT:
            return f"{_number(cell):,}"
        case Unit.COUNT:
            return format_count(int(_number(cell)))
        case Unit.BYTES:
            return format_bytes(int(_number(cell))) if cell else "0"
        case Unit.NUMBER:
            return f"{_number(cell):.2f}"
        case Unit.RATIO:
            return f"{_number(cell):.2f} x"
        case Unit.PERCENT:
            return f"{100 * _number(cell):.1f} %"
        case _:
            assert_never(unit)


def say_shape(shape: Sequence[int]) -> str:
    """Return a shape for people, ``1x64x224x224``; ``scalar`` for one without dimensions."""
    return "x".join(map(str, shape)) or "scalar"


def printable(text: str) -> str:
    """Return *text* with what a terminal would obey, and what no encoding can hold, written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _number(cell: Cell) -> int | float:
    assert isinstance(cell, int | float), cell
    return cell
