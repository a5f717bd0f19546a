"""A document as plain text: aligned columns, no colours, as wide as they are."""

from collections.abc import Iterator
from typing import assert_never

from tabulate import tabulate

from vggprof.views.document import Block, Document, Lines, Notes, Table


def text_of(document: Document) -> str:
    """Return *document* as text.

    ::

        lenet5: layers at batch 1

        layer    op      output     params
        -------  ------  ---------  ------
        conv1    Conv2d  1x6x28x28     156
    """
    return "\n\n".join([document.title, *("\n".join(_lines(block)) for block in document.blocks)]) + "\n"


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Table():
            if block.title:
                yield block.title
            yield from _aligned(block).splitlines()
        case Notes():
            yield block.title
            yield from (f"- {item}" for item in block.items)
        case Lines():
            yield from block.items
        case _:
            assert_never(block)


def _aligned(table: Table) -> str:
    text = tabulate(
        table.cells(),
        headers=[column.title for column in table.columns],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left" if column.left else "right" for column in table.columns],
    )
    return "\n".join(line.rstrip() for line in text.splitlines())
