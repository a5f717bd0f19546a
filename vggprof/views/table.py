"""A document as plain text: aligned columns, no colours."""

from collections.abc import Iterator
from textwrap import wrap
from typing import assert_never

from vggprof.views.document import Block, Column, Document, Lines, Notes, Table, printable

# Columns of running text, whatever the terminal; tables are as wide as they are.
WIDTH = 100

# Columns of running text, whatever the terminal; tables are as wide as they are.
WIDTH = 100


def text_of(document: Document) -> str:
    """Return *document* as text.

    ::

        lenet5: layers at batch 1

        layer    op      output     params
        -------  ------  ---------  ------
        conv1    Conv2d  1x6x28x28     156
    """
    blocks = ("\n".join(_lines(block)) for block in document.blocks)
    return "\n\n".join([printable(document.title), *blocks]) + "\n"


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Table():
            if block.title:
                yield printable(block.title)
            yield from _aligned(block)
        case Notes():
            yield printable(block.title)
            for item in block.items:
                yield from _folded(f"- {printable(item)}")
        case Lines():
            for item in block.items:
                yield from _folded(printable(item))
        case _:
            assert_never(block)


def _folded(text: str) -> list[str]:
    """Return *text* in lines; a word that is longer than a line stays whole, for it may be a path."""
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _aligned(table: Table) -> Iterator[str]:
    """Yield the heading, a rule and the rows, two spaces between the columns."""
    headings = tuple(printable(column.title) for column in table.columns)
    cells = table.cells()
    widths = [max(map(len, texts)) for texts in zip(headings, *cells, strict=True)]
    for row in (headings, tuple("-" * width for width in widths), *cells):
        padded = map(_pad, row, widths, table.columns)
        yield "  ".join(padded).rstrip()


def _pad(text: str, width: int, column: Column) -> str:
    return text.ljust(width) if column.left else text.rjust(width)
