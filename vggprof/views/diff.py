"""What has changed between two measurements, as text."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from vggprof.compare.diff import Change, Finding, RunDiff
from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.table import text_of

_CSV_HEADER = ("kind", "name", "first", "second", "growth", "finding")
_FINDINGS = {
    Finding.SAME: "",
    Finding.BETTER: "better",
    Finding.WORSE: "worse",
    Finding.UNKNOWN: "noise not known",
}
_READING = (
    "A time is better or worse where the bootstrap intervals (95 %) of the two medians do not overlap; else "
    "it is the same within noise.",
    "What PyTorch allocates and reserves is exact. The memory of the process and the time of a layer are one "
    "figure each; how much of a change is noise is not known.",
)


def diff(found: RunDiff, form: Form) -> str:
    """Return *found* in *form*.

    As a table it begins like this::

        brisk-otter against calm-wren

        Time, ms
        what     calm-wren  brisk-otter  change  finding
        -------  ---------  -----------  ------  -------
        step_ms      61.42        66.10   7.6 %  worse
    """
    match form:
        case Form.TABLE:
            return text_of(diff_document(found))
        case Form.MARKDOWN:
            return markdown_of(diff_document(found))
        case Form.CSV:
            return csv_of(_CSV_HEADER, _csv_rows(found))
        case Form.JSON:
            return json_of("diff", _result(found), arch=found.second.conditions.arch)
        case _:
            assert_never(form)


def diff_failed(found: RunDiff, limit: float) -> str:
    """Return what is worse by more than *limit*, a share, in one line."""
    if found.broken:
        return f"{found.second_name} did not run to its end: {found.second.status.value}"
    worse = ", ".join(f"{each.name} by {say(each.growth, Unit.PERCENT)}" for each in found.regressions(limit))
    return f"{found.second_name} is worse than {found.first_name} by more than {limit:.1%}: {worse}"


def diff_document(found: RunDiff) -> Document:
    """Return what people read of *found*."""
    blocks = (
        *_unlike(found),
        *_changes(found, "Time, ms", found.times, Unit.NUMBER),
        *_changes(found, "Memory", found.memory, Unit.BYTES),
        *_changes(found, "Layers, forward and backward, ms", found.layers, Unit.NUMBER),
        Notes("How to read this", _READING),
    )
    return Document(f"{found.second_name} against {found.first_name}", blocks)


def _unlike(found: RunDiff) -> Iterator[Block]:
    if not found.unlike:
        yield Lines(("Both were measured in the same way, on the same machine with the same software.",))
        return
    columns = (
        Column("what", Unit.TEXT),
        Column(found.first_name, Unit.TEXT),
        Column(found.second_name, Unit.TEXT),
    )
    rows = tuple((each.what, each.first, each.second) for each in found.unlike)
    yield Table("What was not the same", columns, rows)


def _changes(found: RunDiff, title: str, changes: Sequence[Change], unit: Unit) -> Iterator[Table]:
    if changes:
        columns = (
            Column("what", Unit.TEXT),
            Column(found.first_name, unit),
            Column(found.second_name, unit),
            Column("change", Unit.PERCENT),
            Column("finding", Unit.TEXT),
        )
        yield Table(title, columns, tuple(map(_row, changes)))


def _row(change: Change) -> tuple[Cell, ...]:
    name = change.name or "(no layer)"
    return name, change.first, change.second, change.growth, _FINDINGS[change.finding]


def _csv_rows(found: RunDiff) -> Iterator[tuple[Cell, ...]]:
    for kind, changes in (("time", found.times), ("memory", found.memory), ("layer", found.layers)):
        for each in changes:
            yield kind, each.name, each.first, each.second, each.growth, each.finding.value


def _result(found: RunDiff) -> dict[str, Json]:
    return {
        "first": found.first_name,
        "second": found.second_name,
        "not_the_same": [
            {"what": each.what, "first": each.first, "second": each.second} for each in found.unlike
        ],
        "timing": [_change(each) for each in found.times],
        "memory": [_change(each) for each in found.memory],
        "layers": [_change(each) for each in found.layers],
    }


def _change(change: Change) -> Json:
    return {
        "name": change.name,
        "first": change.first,
        "second": change.second,
        "growth": change.growth,
        "finding": change.finding.value,
        "first_interval": change.first_interval,
        "second_interval": change.second_interval,
    }
