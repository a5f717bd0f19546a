"""Documents as HTML; the templates escape every word, so that names from files never become markup."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from vggprof.views.document import Block, Document, Lines, Notes, Table, printable

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Shown:
    """A block as the templates take it."""

    kind: str  # "table", "notes" or "lines"
    title: str
    heads: tuple[tuple[str, bool], ...] = ()  # the columns' titles, and whether their cells begin at the left
    rows: tuple[tuple[str, ...], ...] = ()
    items: tuple[str, ...] = ()


def html_of(document: Document) -> str:
    """Return *document* as a piece of HTML, for a notebook.

    ::

        <div class="vggprof"><h3>lenet5: layers</h3>
        <table>...
    """
    return filled("fragment.html", title=document.title, blocks=shown(document.blocks))


def filled(template: str, **values: Any) -> str:  # noqa: ANN401 - what the template names
    """Return the template of that name with *values* in it, escaped."""
    return _environment().get_template(template).render(values)


def shown(blocks: Iterable[Block]) -> tuple[Shown, ...]:
    """Return *blocks* as templates take them, without notes that say nothing."""
    return tuple(_shown(block) for block in blocks if not isinstance(block, Notes) or block.items)


def _shown(block: Block) -> Shown:
    match block:
        case Table():
            heads = tuple((column.title, column.left) for column in block.columns)
            return Shown("table", block.title, heads=heads, rows=block.cells())
        case Notes():
            return Shown("notes", block.title, items=block.items)
        case Lines():
            return Shown("lines", "", items=block.items)
        case _:
            assert_never(block)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - most runs need none
    from markupsafe import Markup  # noqa: PLC0415

    def finalize(value: object) -> object:
        """Take from a name what a browser or an editor would obey; line by line, so that lines stay."""
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    return Environment(
        loader=FileSystemLoader(_TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
