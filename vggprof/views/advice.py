"""What would make a training fit, as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from vggprof.forms import Form
from vggprof.memory.report import MemoryReport
from vggprof.views.advice_json import advice_json
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.memory_json import result
from vggprof.views.phrases import plural, say_setup
from vggprof.views.table import text_of
from vggprof.views.verdict import say_software, verdict

if TYPE_CHECKING:
    from vggprof.memory.advice import Advice, Advised

_CSV_HEADER = (
    "change",
    "setup",
    "saves_bytes",
    "process_bytes",
    "status",
    "fits",
    "cheapest",
    "cost",
    "extra_macs",
    "how",
)
_ENDLESS = "What was asked does not fit: it, and so what is saved, counts as on a card without end."
# Of what `vggprof memory` says of one card.
_KEYS = ("verdict", "prediction", "software", "assumptions")


def advice(report: MemoryReport, form: Form) -> str:
    """Return the advice of *report* in *form*.

    As a table it begins like this::

    vgg16: what would make it fit

    batch 128, training with momentum, fp32
    GeForce RTX 3060 12GB: TIGHT, 6.78 GiB too little of 11.63 GiB usable
    ...
    """
    assert report.advice is not None
    match form:
        case Form.TABLE:
            return text_of(_document(report, report.advice))
        case Form.MARKDOWN:
            return markdown_of(_document(report, report.advice))
        case Form.CSV:
            return csv_of(_CSV_HEADER, (_csv_row(each, report.advice) for each in report.advice.advice))
        case Form.JSON:
            said = result(report)
            picked = {key: said[key] for key in _KEYS}
            return json_of(
                "advise", {**picked, **advice_json(report.advice)}, arch=report.arch, setup=report.setup
            )
        case _:
            assert_never(form)


def advice_blocks(advised: "Advised") -> Iterator[Block]:
    """Yield what helps, and the cheapest of it that is enough."""
    if advised.advice:
        yield Table(
            "What would help",
            (
                Column("change", Unit.TEXT),
                Column("saves", Unit.BYTES),
                Column("process", Unit.BYTES),
                Column("at most", Unit.BYTES),
                Column("verdict", Unit.TEXT),
                Column("at the cost of", Unit.TEXT),
            ),
            tuple(map(_row, advised.advice)),
        )
    yield Lines(tuple(_conclusion(advised)))


def _row(advice: "Advice") -> tuple[Cell, ...]:
    process, status = advice.prediction.process, advice.prediction.status
    takes = process.high if process.likely is None else process.likely
    return advice.name, advice.saves_bytes, takes, process.high, status.value, advice.cost


def _conclusion(advised: "Advised") -> Iterator[str]:
    """Yield the cheapest change that is enough, and what was searched for it."""
    from vggprof.memory.advice import CLEARLY  # noqa: PLC0415 - here already where there is advice

    found, best = advised.searched, advised.cheapest
    if not advised.advice:
        yield f"No change by itself saves {CLEARLY:.0%} of the process.".replace("%", " %")
    elif advised.endless:
        yield _ENDLESS
    if found is None:
        return
    tried = plural(found.tried, "combination")
    if best is not None:
        yield f"{'Cheapest that fits' if found.complete else 'This fits'}: {best.name}"
        if not found.complete:
            yield f"Not proved the cheapest: the search ended after the {tried} that cost least."
        if best.command is not None:
            yield f"Ask again: {best.command}"
    elif found.complete:
        yield f"None of {tried} of changes fits."
    else:
        yield f"None of the {tried} that cost least fits, nor does what saves most taken together."


def _document(report: MemoryReport, advised: "Advised") -> Document:
    assert report.single is not None
    said = Lines((say_setup(report.setup), *verdict(report.single), say_software(report.software)))
    how = Notes("How", tuple(f"{each.name}: {'; '.join(each.how)}" for each in advised.advice))
    commands = Notes("Ask about each", tuple(filter(None, (each.command for each in advised.advice))))
    notes = (each for each in (how, commands) if each.items)
    return Document(f"{report.arch}: what would make it fit", (said, *advice_blocks(advised), *notes))


def _csv_row(each: "Advice", advised: "Advised") -> tuple[Cell, ...]:
    prediction = each.prediction
    return (
        each.name,
        each.command,
        each.saves_bytes,
        prediction.process.likely,
        prediction.status.value,
        each.fits,
        each is advised.cheapest,
        each.cost,
        each.extra_macs,
        "; ".join(each.how),
    )
