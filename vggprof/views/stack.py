"""Stacks of convolutions beside single ones, as text."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import assert_never

from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say_shape
from vggprof.views.json import json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import CONVENTION, NOT_MODELLED, plural, say_setup
from vggprof.views.stack_json import result
from vggprof.views.table import text_of
from vggprof.workloads.published import PublishedDifference, PublishedError
from vggprof.workloads.stack import Comparison, Cost, NetworkCost, StackReport, StackRow

_WORK = ("macs", "macs_backward", "output_bytes", "saved_bytes", "moved_bytes", "nonlinearities")
_HEADER = (
    *("what", "name", "kernels", "params", *_WORK, "forward_ms", "backward_ms"),
    *("peak_bytes", "step_ms", "step_low_ms", "step_high_ms"),
)
_BORDERS = (
    "A single kernel sees as much, but is not the same function: a stack bends in between, and pads with "
    "zeros again before each convolution."
)
_MOVED = "Moved is what the operators of the forward pass read and write, each on its own."
_TIMES = (
    "Times of stacks are those of the kernels of their layers; a step has also the loss, the optimizer, and "
    "the GPU's waiting for the host."
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
            return json_of("stack", result(report), arch=report.arch, setup=report.setup)
        case _:
            assert_never(form)


def stack_document(report: StackReport) -> Document:
    """Return what people read of *report*."""
    lines = Lines((say_setup(report.setup), *_summary(report), *_untimed(report)))
    said = () if report.difference is None else (_say_difference(report.difference),)
    how = (_BORDERS, *said, *CONVENTION, _MOVED, *(() if report.device is None else (_TIMES,)))
    assumed = (*report.assumptions, NOT_MODELLED) if report.assumptions else ()
    notes = (Notes("How to read this", how), Notes("Assumed", assumed))
    blocks = (lines, *_tables(report), *_family(report), *(note for note in notes if note.items))
    return Document(f"{report.arch}: stacks of convolutions", blocks)


def _untimed(report: StackReport) -> Iterator[str]:
    if report.no_times is not None:
        yield f"No times: {report.no_times}."


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
    networks = (report.stacked,) if report.single is None else (report.stacked, report.single)
    if report.single is not None:
        yield _parameters(report)
        yield _work(_pairs(report, report.single))
    if report.device is not None and report.single is not None:
        yield _times(_pairs(report, report.single), report.device)
    yield _networks("Whole network", networks, report)


def _pairs(report: StackReport, single: NetworkCost) -> tuple[tuple[str, Cost, Cost], ...]:
    """Return each stack and at last the network: its name, what it costs, and with single kernels."""
    stacks = ((_name(row), row.stack, row.single) for row in report.rows)
    return (*stacks, (report.arch, report.stacked.cost, single.cost))


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


def _work(pairs: Sequence[tuple[str, Cost, Cost]]) -> Table:
    return Table(
        "Work, memory and non-linearities",
        (
            Column("stack", Unit.TEXT),
            *_beside(Unit.COUNT, "MACs fwd", "MACs bwd"),
            *_beside(Unit.BYTES, "made", "saved", "moved"),
            *_beside(Unit.EXACT, "bends"),
        ),
        tuple(
            (name, *(getattr(cost, field) for field in _WORK for cost in (ours, theirs)))
            for name, ours, theirs in pairs
        ),
    )


def _times(pairs: Sequence[tuple[str, Cost, Cost]], device: str) -> Table:
    return Table(
        f"Milliseconds of kernels in a step, predicted for {device}",
        (
            Column("stack", Unit.TEXT),
            *_beside(Unit.NUMBER, "forward", "backward", "both"),
            Column("ratio", Unit.RATIO),
        ),
        tuple(
            (
                name,
                *(ours.forward_ms, theirs.forward_ms, ours.backward_ms, theirs.backward_ms),
                *(ours.kernels_ms, theirs.kernels_ms),
                _ratio(ours.kernels_ms, theirs.kernels_ms),
            )
            for name, ours, theirs in pairs
        ),
    )


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


def _beside(unit: Unit, *titles: str) -> Iterator[Column]:
    """Yield for each of *titles* its column, and that of the single kernel."""
    for title in titles:
        yield Column(title, unit)
        yield Column("of single", unit)


def _networks(title: str, networks: Sequence[NetworkCost], report: StackReport) -> Table:
    timed = report.device is not None
    times = tuple(Column(name, Unit.NUMBER) for name in ("ms a step", "low", "high"))
    return Table(
        f"{title}; times predicted for {report.device}" if timed else title,
        (
            Column("network", Unit.TEXT),
            Column("params", Unit.EXACT),
            Column("MACs fwd", Unit.COUNT),
            *(Column(name, Unit.BYTES) for name in ("made", "saved", "moved", "peak of tensors")),
            Column("bends", Unit.EXACT),
            *(times if timed else ()),
        ),
        tuple((*_network_row(each), *(_step(each) if timed else ())) for each in networks),
    )


def _network_row(network: NetworkCost) -> tuple[Cell, ...]:
    cost = network.cost
    return (
        network.arch,
        cost.params,
        cost.macs,
        cost.output_bytes,
        cost.saved_bytes,
        cost.moved_bytes,
        network.peak_bytes,
        cost.nonlinearities,
    )


def _step(network: NetworkCost) -> tuple[Cell, ...]:
    step = network.step_ms
    return (None, None, None) if step is None else (step.likely, step.low, step.high)


def _family(report: StackReport) -> Iterator[Block]:
    """Yield the paper's columns around the network, and the errors that were published of them."""
    if not report.family:
        return
    yield _networks("The paper's columns beside it", report.family, report)
    yield _comparisons(report.comparisons)
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


def _comparisons(comparisons: Sequence[Comparison]) -> Table:
    costs = ("params", "MACs fwd", "made", "moved", "peak of tensors", "time of a step")
    return Table(
        "What each change costs, and by how many points the errors differ (S = Q = 256)",
        (
            *(Column(name, Unit.TEXT) for name in ("change", "network", "against")),
            *(Column(name, Unit.RATIO) for name in costs),
            *(Column(name, Unit.SAID) for name in ("top-1", "top-5")),
        ),
        tuple(map(_comparison, comparisons)),
    )


def _comparison(each: Comparison) -> tuple[Cell, ...]:
    ours, theirs = each.network.cost, each.base.cost
    return (
        *(each.change, each.network.arch, each.base.arch),
        ours.params / theirs.params,
        ours.macs / theirs.macs,
        ours.output_bytes / theirs.output_bytes,
        ours.moved_bytes / theirs.moved_bytes,
        each.network.peak_bytes / each.base.peak_bytes,
        each.step_ratio,
        *(f"{points:+.1f}" for points in each.points),
    )


def _say_difference(each: PublishedDifference) -> str:
    return (
        f"Published of single kernels: {each.other} has a top-1 error {each.top1_percent_higher:g} % higher "
        f"than {each.config} ({each.method}; {each.source})."
    )


def percents(error: PublishedError) -> tuple[str, str]:
    """Return top-1 and top-5 errors as the paper writes them."""
    return f"{error.top1_percent:.1f}", f"{error.top5_percent:.1f}"


def _name(row: StackRow) -> str:
    return " + ".join(row.convolutions)


def _kernels(row: StackRow) -> str:
    return " + ".join(map(say_shape, row.kernels))


def _csv_rows(report: StackReport) -> Iterator[tuple[Cell, ...]]:
    none = (None,) * 4
    for row in report.rows:
        yield "stack", _name(row), _kernels(row), *asdict(row.stack).values(), *none
        yield "single", _name(row), say_shape(row.kernel), *asdict(row.single).values(), *none
    for each in (report.stacked, report.single, *report.family):
        if each is not None:
            yield "network", each.arch, None, *asdict(each.cost).values(), each.peak_bytes, *_step(each)
