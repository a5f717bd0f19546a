"""What has changed between two measurements, as text."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from vggprof.compare.diff import MIN_SAMPLES, Change, Finding, RunDiff
from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.table import text_of

_CSV_HEADER = ("kind", "name", "first", "second", "growth", "finding", "first_n", "second_n")
_FINDINGS = {
    Finding.SAME: "same within noise",
    Finding.BETTER: "better",
    Finding.WORSE: "worse",
    Finding.UNKNOWN: "noise not known",
    Finding.TOO_FEW: "too few samples",
}
_READING = (
    "A time is better or worse where the bootstrap intervals (95 %) of the two medians do not overlap; else "
    "it is the same within noise. n is how many samples each has; with fewer than "
    f"{MIN_SAMPLES} the interval is all that was seen, and nothing is said.",
    "What PyTorch allocates and reserves is exact. The memory of the process and the time of a layer are one "
    "figure each; how much of a change is noise is not known.",
)


def diff(found: RunDiff, form: Form) -> str:
    """Return *found* in *form*.

    As a table it begins like this::

        brisk-otter against calm-wren

        Time, ms
        what     calm-wren  brisk-otter  change  finding  n
        -------  ---------  -----------  ------  -------  --------
        step_ms      61.42        66.10   7.6 %  worse    100, 100
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


def diff_incomparable(found: RunDiff) -> str:
    """Return in one line why no limit can be set on what has changed."""
    unlike = ", ".join(f"{each.what} ({each.first}, {each.second})" for each in found.essential)
    why = f"differ in {unlike}" if unlike else "have no time or memory in common"
    return f"no limit can be held: {found.first_name} and {found.second_name} {why}"


def diff_undecided(found: RunDiff, limit: float) -> str:
    """Return in one line what may be worse by more than *limit*, a share, and why that is not decided."""
    grown = ", ".join(
        f"{each.name} by {say(each.growth, Unit.PERCENT)} ({each.first_n} and {each.second_n} samples)"
        for each in found.undecided(limit)
    )
    return (
        f"{found.second_name} may be worse than {found.first_name} by more than {limit:.1%}: {grown}; to "
        f"tell that from noise takes {MIN_SAMPLES} samples each, measure with more --steps"
    )


def diff_document(found: RunDiff) -> Document:
    """Return what people read of *found*."""
    blocks = (
        *_unlike(found),
        *_changes(found, "Time, ms", found.times, Unit.NUMBER),
        *_scattered(found),
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
        counted = any(each.first_n is not None for each in changes)
        more = (Column("n", Unit.TEXT),) if counted else ()
        yield Table(title, (*columns, *more), tuple(_row(each)[: len(columns) + counted] for each in changes))


def _scattered(found: RunDiff) -> Iterator[Lines]:
    """Say whose steps did not come to rest."""
    for name, measured in ((found.first_name, found.first), (found.second_name, found.second)):
        if measured.timing is not None and not measured.timing.converged:
            yield Lines((f"The times of {name} scatter more than was asked for when they were measured.",))


def _row(change: Change) -> tuple[Cell, ...]:
    name = change.name or "(no layer)"
    samples = f"{change.first_n}, {change.second_n}"
    return name, change.first, change.second, change.growth, _finding(change), samples


def _finding(change: Change) -> str:
    equal = change.finding is Finding.SAME and change.first == change.second
    return "same" if equal else _FINDINGS[change.finding]


def _csv_rows(found: RunDiff) -> Iterator[tuple[Cell, ...]]:
    for kind, changes in (("time", found.times), ("memory", found.memory), ("layer", found.layers)):
        for each in changes:
            yield (
                kind,
                each.name,
                each.first,
                each.second,
                each.growth,
                each.finding.value,
                each.first_n,
                each.second_n,
            )


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
        "first_n": change.first_n,
        "second_n": change.second_n,
    }
