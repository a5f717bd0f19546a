"""The shipped specs as text."""

from collections.abc import Sequence
from typing import assert_never

from vggprof.forms import Form
from vggprof.spec.shipped import Summary
from vggprof.views.csv import csv_of
from vggprof.views.document import Column, Document, Lines, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.table import text_of

_COLUMNS = (
    Column("name", Unit.TEXT),
    Column("also", Unit.TEXT),
    Column("input", Unit.SHAPE),
    Column("parameters", Unit.TEXT),
    Column("what it is", Unit.TEXT),
)
_CSV_HEADER = ("name", "aliases", "input", "parameters", "title", "source")
_HOW = (
    "Set parameters where you name a network: vgg16@classes=10,input=1x224x224",
    "Where each was published: vggprof list --format json",
)


def specs(summaries: Sequence[Summary], form: Form) -> str:
    """Return the shipped specs in *form*.

    As a table it begins like this::

        Shipped architectures

        name          also            input      parameters              what it is
        ------------  --------------  ---------  ----------------------  -------------------------------------------------------------
        alexnet       alexnet-owt     3x224x224  classes=1000            AlexNet for one GPU
        ...
    """  # noqa: E501 - as wide as the table is
    match form:
        case Form.TABLE:
            return text_of(_document(summaries))
        case Form.MARKDOWN:
            return markdown_of(_document(summaries))
        case Form.CSV:
            return csv_of(
                _CSV_HEADER,
                (
                    (s.name, " ".join(s.aliases), s.input, _parameters(s), s.title, s.source)
                    for s in summaries
                ),
            )
        case Form.JSON:
            return json_of("list", {"specs": [_spec_json(summary) for summary in summaries]})
        case _:
            assert_never(form)


def _document(summaries: Sequence[Summary]) -> Document:
    rows = tuple((s.name, ", ".join(s.aliases), s.input, _parameters(s), s.title) for s in summaries)
    return Document("Shipped architectures", (Table("", _COLUMNS, rows), Lines(_HOW)))


def _parameters(summary: Summary) -> str:
    return ", ".join(f"{name}={value}" for name, value in summary.parameters)


def _spec_json(summary: Summary) -> dict[str, Json]:
    return {
        "name": summary.name,
        "aliases": summary.aliases,
        "title": summary.title,
        "source": summary.source,
        "input": summary.input,
        "parameters": dict(summary.parameters),
    }
