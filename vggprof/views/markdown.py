"""A document as markdown that code hosts show: headings, pipe tables, lists."""

import re
from collections.abc import Iterable, Iterator
from typing import assert_never

from vggprof.views.document import Block, Document, Lines, Notes, Table, printable

# What markdown or HTML would obey; an underscore only at the edge of a word: conv1_1 stays as it is.
_MARKUP = re.compile(r"[\\`*<>|&$~\[\]]|(?<![^\W_])_|_(?![^\W_])")
# What makes a line a heading, an item or a rule, by its first word; of a number it is what comes behind it.
_BEGINNING = re.compile(r"^(\s*\d{0,9})([.)](?=\s|$)|(?<!\d)[-+=#])")


def markdown_of(document: Document) -> str:
    """Return *document* as markdown.

    ::

        # lenet5: layers at batch 1

        | layer | operator | output | params |
        | :-- | :-- | :-- | --: |
        | conv1 | Conv2d | 1x6x28x28 | 156 |
    """
    return "\n\n".join([f"# {plain(document.title)}", *blocks_of(document.blocks)]) + "\n"


def blocks_of(blocks: Iterable[Block], *, level: int = 2) -> Iterator[str]:
    """Yield the paragraphs of *blocks*, with headings of *level*."""
    for block in blocks:
        yield from _parts(block, "#" * level)


def plain(text: str) -> str:
    """Return *text* so that markdown shows it as it is: names from files never become markup."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def line(text: str) -> str:
    """Return *text* so that it is a line or an item of its own, whatever it begins with."""
    return _BEGINNING.sub(r"\1\\\2", plain(text))


def _parts(block: Block, mark: str) -> Iterator[str]:
    match block:
        case Table():
            if block.title:
                yield f"{mark} {plain(block.title)}"
            yield "\n".join(_pipes(block))
        case Notes():
            if block.title:
                yield f"{mark} {plain(block.title)}"
            yield "\n".join(f"- {line(item)}" for item in block.items)
        case Lines():
            yield "\\\n".join(line(item) for item in block.items)
        case _:
            assert_never(block)


def _pipes(table: Table) -> Iterator[str]:
    """Yield the heading, a rule that says where each column is aligned, and the rows."""
    yield _row(plain(column.title) for column in table.columns)
    yield _row(":--" if column.left else "--:" for column in table.columns)
    for row in table.cells():
        yield _row(map(plain, row))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
