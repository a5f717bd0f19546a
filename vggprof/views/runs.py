"""Kept runs as text."""

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import assert_never

from vggprof.forms import Form
from vggprof.store import Run
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Table, Unit
from vggprof.views.json import json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.table import text_of

_COLUMNS = (
    Column("run", Unit.TEXT),
    Column("kept", Unit.TEXT),
    Column("network", Unit.TEXT),
    Column("batch", Unit.EXACT),
    Column("mode", Unit.TEXT),
    Column("outcome", Unit.TEXT),
    Column("on", Unit.TEXT),
    Column("torch", Unit.TEXT),
    Column("step, ms", Unit.NUMBER),
    Column("allocated", Unit.BYTES),
)
_NAMES = tuple(field.name for field in fields(Run))


def runs(kept: Sequence[Run], form: Form) -> str:
    """Return *kept* in *form*.

    As a table::

        Runs that are kept

        run          kept                       network  batch  mode   outcome  on     torch   step, ms  ...
        -----------  -------------------------  -------  -----  -----  -------  -----  ------  --------
        brisk-otter  2026-11-22T07:53:42+00:00  vgg16       32  train  ok       H200   2.15.0     61.42
    """
    match form:
        case Form.TABLE:
            return text_of(_document(kept))
        case Form.MARKDOWN:
            return markdown_of(_document(kept))
        case Form.CSV:
            return csv_of(_NAMES, map(_row, kept))
        case Form.JSON:
            return json_of("runs", {"runs": [dict(zip(_NAMES, _row(run), strict=True)) for run in kept]})
        case _:
            assert_never(form)


def _document(kept: Sequence[Run]) -> Document:
    nothing = Lines(("None yet: `vggprof measure` keeps its results.",))
    block: Block = Table("", _COLUMNS, tuple(map(_row, kept))) if kept else nothing
    return Document("Runs that are kept", (block,))


def _row(run: Run) -> tuple[Cell, ...]:
    return astuple(run)
