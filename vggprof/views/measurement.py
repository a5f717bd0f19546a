"""A measurement as text, with what was predicted beside it."""

from typing import assert_never

from vggprof.compare.measured import MeasuredReport
from vggprof.compare.sweep import SweepReport
from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Document
from vggprof.views.json import json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.measurement_csv import HEADER, rows
from vggprof.views.measurement_json import result, sweep_result
from vggprof.views.measurement_tables import document, overview
from vggprof.views.table import text_of


def measurement(report: MeasuredReport, form: Form) -> str:
    """Return *report* in *form*."""
    conditions = report.measurement.conditions
    match form:
        case Form.TABLE:
            return text_of(document(report))
        case Form.MARKDOWN:
            return markdown_of(document(report))
        case Form.CSV:
            return csv_of(HEADER, rows(report))
        case Form.JSON:
            return json_of("measure", result(report), arch=conditions.arch, setup=conditions.setup)
        case _:
            assert_never(form)


def sweep(measured: SweepReport, form: Form) -> str:
    """Return several measurements in *form*: an overview, then each of them."""
    match form:
        case Form.TABLE:
            return "\n".join(map(text_of, sweep_documents(measured)))
        case Form.MARKDOWN:
            return "\n".join(map(markdown_of, sweep_documents(measured)))
        case Form.CSV:
            return csv_of(HEADER, (row for each in measured.reports for row in rows(each)))
        case Form.JSON:
            return json_of("measure", sweep_result(measured))
        case _:
            assert_never(form)


def sweep_documents(measured: SweepReport) -> tuple[Document, ...]:
    """Return an overview, then each of the measurements, of which the last tells how they are to be read."""
    last = len(measured.reports) - 1
    each = (document(report, explain=place == last) for place, report in enumerate(measured.reports))
    return overview(measured), *each
