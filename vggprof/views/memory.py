"""What training takes on a GPU, as text."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import assert_never

from vggprof.forms import Form
from vggprof.memory.composition import Composition
from vggprof.memory.report import CardReport, MemoryReport
from vggprof.memory.verdict import Estimate
from vggprof.units import format_bytes
from vggprof.views.advice import advice_blocks
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.memory_json import result
from vggprof.views.phrases import NOT_MODELLED, say_setup
from vggprof.views.table import text_of
from vggprof.views.verdict import verdict

_CSV_HEADER = (
    "what",
    "card",
    "verdict",
    "step",
    "phase",
    "layer",
    "kind",
    "allocated_bytes",
    "reserved_bytes",
)

_LADDER_NOTE = (
    "No GPU was named and none is here: these are common cards. Name one with --gpu for its largest batch, "
    "what the peak is made of, and where it fails."
)


def memory(report: MemoryReport, form: Form) -> str:
    """Return *report* in *form*.

    As a table it begins like this::

    vgg16: memory of training

    batch 32, training with momentum, fp32
    GeForce RTX 3060 12GB: FITS, 4.20 GiB to spare of 11.63 GiB usable
    Largest batch that fits: 96
    ...
    """
    match form:
        case Form.TABLE:
            return text_of(memory_document(report))
        case Form.MARKDOWN:
            return markdown_of(memory_document(report))
        case Form.CSV:
            return csv_of(_CSV_HEADER, _csv_rows(report))
        case Form.JSON:
            return json_of("memory", result(report), arch=report.arch, setup=report.setup)
        case _:
            assert_never(form)


def memory_document(report: MemoryReport) -> Document:
    """Return what people read of *report*."""
    what = "training" if report.setup.training else "inference"
    notes = Notes("Assumed", (*report.assumptions, NOT_MODELLED))
    return Document(f"{report.arch}: memory of {what}", (*_blocks(report), _tensors(report), notes))


def _blocks(report: MemoryReport) -> tuple[Block, ...]:
    setup, only = say_setup(report.setup), report.single
    if only is None or report.composition is None:
        return (Lines((setup,)), _ladder(report.cards), Lines((_LADDER_NOTE,)))
    return (
        Lines((setup, *verdict(only))),
        *(advice_blocks(report.advice) if report.advice is not None else ()),
        _sizes(only),
        _kinds(report.composition),
        _layers(report.composition),
        _marks(only),
        *_workspaces(report.composition),
    )


def _sizes(only: CardReport) -> Table:
    prediction = only.prediction
    context = prediction.context
    rows = (
        ("PyTorch allocates at most", prediction.peak_allocated),
        ("PyTorch reserves at most", prediction.peak_reserved),
        ("context, outside PyTorch", Estimate(context.low, context.likely, context.high)),
        ("whole process", prediction.process),
    )
    return Table(
        "Memory on this GPU",
        (
            Column("what", Unit.TEXT),
            Column("likely", Unit.BYTES),
            Column("low", Unit.BYTES),
            Column("high", Unit.BYTES),
        ),
        tuple((name, size.likely, size.low, size.high) for name, size in rows),
    )


def _ladder(cards: Sequence[CardReport]) -> Table:
    return Table(
        "On common cards",
        (
            Column("GPU", Unit.TEXT),
            Column("usable", Unit.BYTES),
            Column("verdict", Unit.TEXT),
            Column("process", Unit.BYTES),
            Column("low", Unit.BYTES),
            Column("high", Unit.BYTES),
            Column("reserved", Unit.BYTES),
            Column("allocated", Unit.BYTES),
        ),
        tuple(
            (
                card.prediction.device.name,
                card.prediction.usable_bytes,
                card.prediction.status.value,
                card.prediction.process.likely,
                card.prediction.process.low,
                card.prediction.process.high,
                card.prediction.peak_reserved.likely,
                card.prediction.peak_allocated.likely,
            )
            for card in cards
        ),
    )


def _kinds(composition: Composition) -> Table:
    parts = composition.breakdown_bytes
    total = sum(parts.values())
    return Table(
        "What is allocated at the peak",
        (Column("kind", Unit.TEXT), Column("bytes", Unit.BYTES), Column("share", Unit.PERCENT)),
        (
            *((say_kind(kind), nbytes, nbytes / total) for kind, nbytes in parts.items() if nbytes),
            ("total", total, 1.0),
            ("besides, reserved but unused", composition.fragmentation_bytes, None),
        ),
    )


def _layers(composition: Composition) -> Table:
    return Table(
        "By layer, at the peak",
        (Column("layer", Unit.TEXT), Column("bytes", Unit.BYTES)),
        tuple((layer or "(no layer)", nbytes) for layer, nbytes in composition.layer_bytes.items()),
    )


def _marks(only: CardReport) -> Table:
    """Return a row for each step, a column for each mark; the first row is from before the first step."""
    marks = only.prediction.shown.marks
    phases = tuple(dict.fromkeys(mark.phase for mark in marks))
    by_step: defaultdict[int | None, dict[str, int]] = defaultdict(dict)
    for mark in marks:
        by_step[mark.step][mark.phase] = mark.allocated_bytes
    return Table(
        "Allocated at the end of each phase, steps counted from 0",
        (Column("step", Unit.EXACT), *(Column(phase, Unit.BYTES) for phase in phases)),
        tuple((step, *(at.get(phase) for phase in phases)) for step, at in by_step.items()),
    )


def _workspaces(composition: Composition) -> Iterator[Block]:
    """Yield the workspaces of convolutions that take some, and who says so."""
    taking = [row for row in composition.workspaces if row.high_bytes]
    if taking:
        yield Table(
            "Workspaces of cuDNN, for the time of a call",
            (
                Column("layer", Unit.TEXT),
                Column("pass", Unit.TEXT),
                Column("bytes", Unit.BYTES),
                Column("low", Unit.BYTES),
                Column("high", Unit.BYTES),
            ),
            tuple((row.layer, row.which, row.nbytes, row.low_bytes, row.high_bytes) for row in taking),
        )
        yield Lines(tuple(f"Source: {source}" for source in dict.fromkeys(row.source for row in taking)))


def _tensors(report: MemoryReport) -> Block:
    tensors = report.tensors
    peak = tensors.peak
    when = "while the model moves in" if peak.step is None else f"in step {peak.step}, {peak.phase.value}"
    where = f", at {peak.layer}" if peak.layer else ""
    return Table(
        f"Tensors alone, on any GPU: at most {format_bytes(peak.allocated_bytes)}, {when}{where}",
        (Column("kind", Unit.TEXT), Column("bytes", Unit.BYTES), Column("share", Unit.PERCENT)),
        (
            *(
                (say_kind(kind.value), nbytes, nbytes / peak.allocated_bytes)
                for kind, nbytes in tensors.breakdown_bytes.items()
                if nbytes
            ),
            ("total", peak.allocated_bytes, 1.0),
        ),
    )


def say_kind(kind: str) -> str:
    """Return a kind of memory for people: ``optimizer state``."""
    return kind.replace("_", " ")


def _csv_rows(report: MemoryReport) -> Iterator[tuple[Cell, ...]]:
    """Yield each card, then marks and what the peak is made of; of tensors where there are several cards."""
    for card in report.cards:
        p = card.prediction
        sizes = p.peak_allocated.likely, p.peak_reserved.likely
        yield "card", p.device.name, p.status.value, None, None, None, None, *sizes
    only = report.single
    if only is not None and report.composition is not None:
        for mark in only.prediction.shown.marks:
            yield (
                "mark",
                None,
                None,
                mark.step,
                mark.phase,
                None,
                None,
                mark.allocated_bytes,
                mark.reserved_bytes,
            )
        for kind, nbytes in report.composition.breakdown_bytes.items():
            yield "share", None, None, None, None, None, kind, nbytes, None
        return
    for at in report.tensors.marks:
        yield "mark", None, None, at.step, at.phase, None, None, at.allocated_bytes, None
    for share in report.tensors.shares:
        yield "share", None, None, None, None, share.layer, share.kind.value, share.allocated_bytes, None
