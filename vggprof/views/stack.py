"""Stacks of convolutions beside single ones, as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say_shape
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import CONVENTION, plural, say_setup
from vggprof.views.table import text_of
from vggprof.workloads.published import PublishedError
from vggprof.workloads.stack import NetworkCost, StackReport, StackRow

_COSTS = ("params", "macs", "macs_backward", "output_bytes", "saved_bytes", "nonlinearities")
_HEADER = ("what", "name", "kernels", *_COSTS)
_BORDERS = (
    "A single kernel sees as much, but is not the same function: a stack bends in between, and pads with "
    "zeros again before each convolution."
)


def stack(report: StackReport, form: Form) -> str:
    """Return *report* in *form*.

    As a table it begins like this::

    vgg16: stacks of convolutions

    batch 1, training with momentum, fp32

    Stacks against single kernels
    stack                      kernels      single   params     single    ratio  pays  ...
    """
    match form:
        case Form.TABLE:
            return text_of(stack_document(report))
        case Form.MARKDOWN:
            return markdown_of(stack_document(report))
        case Form.CSV:
            return csv_of(_HEADER, _csv_rows(report))
        case Form.JSON:
            return json_of("stack", _result(report), arch=report.arch, setup=report.setup)
        case _:
            assert_never(form)


def stack_document(report: StackReport) -> Document:
    """Return what people read of *report*."""
    blocks = (Lines((say_setup(report.setup), *_summary(report))), *_tables(report), *_family(report))
    notes = Notes("How to read this", (_BORDERS, *CONVENTION))
    return Document(f"{report.arch}: stacks of convolutions", (*blocks, notes))


def _summary(report: StackReport) -> Iterator[str]:
    if not report.rows:
        yield "No two convolutions follow each other without something between them that mixes pixels."
        return
    paying = sum(row.pays for row in report.rows)
    yield f"{plural(len(report.rows), 'stack')}; {paying} with fewer parameters than the single kernel"
    for row in report.rows:
        squares = row.weights_per_square
        if squares is not None:
            ours, theirs = squares
            yield f"{_name(row)}: {ours} C^2 weights against {theirs} C^2, with C = {row.channels[0]}"


def _tables(report: StackReport) -> Iterator[Block]:
    if report.single is not None:
        yield _parameters(report)
        yield _work(report, report.single)
        yield Table("Whole network", _NETWORK, tuple(map(_network_row, (report.stacked, report.single))))


def _parameters(report: StackReport) -> Table:
    return Table(
        "Stacks against single kernels",
        (
            Column("stack", Unit.TEXT),
            Column("kernels", Unit.TEXT),
            Column("channels", Unit.TEXT),
            Column("single", Unit.TEXT),
            Column("params", Unit.EXACT),
            Column("of single", Unit.EXACT),
            Column("ratio", Unit.RATIO),
            Column("pays", Unit.TEXT),
        ),
        tuple(
            (
                _name(row),
                _kernels(row),
                "-".join(map(str, row.channels)),
                say_shape(row.kernel),
                row.stack.params,
                row.single.params,
                row.stack.params / row.single.params,
                "yes" if row.pays else "no",
            )
            for row in report.rows
        ),
    )


def _work(report: StackReport, single: NetworkCost) -> Table:
    pairs = [(_name(row), row.stack, row.single) for row in report.rows]
    return Table(
        "Work, memory and non-linearities",
        (
            Column("stack", Unit.TEXT),
            *(Column(title, Unit.COUNT) for title in ("MACs fwd", "of single", "MACs bwd", "of single")),
            *(Column(title, Unit.BYTES) for title in ("made", "of single", "saved", "of single")),
            *(Column(title, Unit.EXACT) for title in ("bends", "of single")),
        ),
        tuple(
            (name, *(getattr(cost, field) for field in _COSTS[1:] for cost in (ours, theirs)))
            for name, ours, theirs in (*pairs, (report.arch, report.stacked.cost, single.cost))
        ),
    )


_NETWORK = (
    Column("network", Unit.TEXT),
    Column("params", Unit.EXACT),
    Column("MACs fwd", Unit.COUNT),
    Column("made", Unit.BYTES),
    Column("saved", Unit.BYTES),
    Column("moved", Unit.BYTES),
    Column("peak of tensors", Unit.BYTES),
    Column("bends", Unit.EXACT),
)


def _network_row(network: NetworkCost) -> tuple[Cell, ...]:
    cost = network.cost
    return (
        network.arch,
        cost.params,
        cost.macs,
        cost.output_bytes,
        cost.saved_bytes,
        network.moved_bytes,
        network.peak_bytes,
        cost.nonlinearities,
    )


def _family(report: StackReport) -> Iterator[Block]:
    """Yield the paper's columns around the network, and the errors that were published of them."""
    if not report.family:
        return
    yield Table("The paper's columns beside it", _NETWORK, tuple(map(_network_row, report.family)))
    errors = [(network, error) for network in report.family for error in network.errors]
    yield Table(
        f"Published errors, per cent ({errors[0][1].source})",
        (
            Column("network", Unit.TEXT),
            Column("column", Unit.TEXT),
            Column("S", Unit.SAID),
            Column("Q", Unit.SAID),
            Column("top-1", Unit.SAID),
            Column("top-5", Unit.SAID),
        ),
        tuple(
            (
                network.arch,
                error.config,
                error.train_scale,
                ",".join(map(str, error.test_scales)),
                *percents(error),
            )
            for network, error in errors
        ),
    )


def percents(error: PublishedError) -> tuple[str, str]:
    """Return top-1 and top-5 errors as the paper writes them."""
    return f"{error.top1_percent:.1f}", f"{error.top5_percent:.1f}"


def _name(row: StackRow) -> str:
    return " + ".join(row.convolutions)


def _kernels(row: StackRow) -> str:
    return " + ".join(map(say_shape, row.kernels))


def _csv_rows(report: StackReport) -> Iterator[tuple[Cell, ...]]:
    for row in report.rows:
        yield "stack", _name(row), _kernels(row), *asdict(row.stack).values()
        yield "single", _name(row), say_shape(row.kernel), *asdict(row.single).values()
    for network in (report.stacked, report.single, *report.family):
        if network is not None:
            yield "network", network.arch, None, *asdict(network.cost).values()


def _result(report: StackReport) -> dict[str, Json]:
    return {
        "stacks": [
            {**asdict(row), "pays": row.pays, "weights_per_square": row.weights_per_square}
            for row in report.rows
        ],
        "network": asdict(report.stacked),
        "single": None if report.single is None else asdict(report.single),
        "family": [asdict(network) for network in report.family],
    }
