"""Rows as CSV (RFC 4180): raw integers, shapes as 1x64x224x224, an empty cell for what is not known."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import assert_never

from vggprof.views.document import Cell, say_shape


def csv_of(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    r"""Return CSV text with lines that end in ``\n``.

    ::

        name,op,output_shape,params
        conv1,Conv2d,1x6x28x28,156
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case tuple():
            return say_shape(cell)
        case int() | float() | str():
            return str(cell)
        case _:
            assert_never(cell)
