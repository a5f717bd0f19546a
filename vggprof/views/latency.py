"""How long a step takes on a GPU, as text."""

from collections.abc import Iterator
from typing import assert_never

from vggprof.forms import Form
from vggprof.latency.curve import Curve
from vggprof.latency.interval import Interval
from vggprof.latency.predict import Latency, LayerLatency
from vggprof.latency.report import Change, Epoch, LatencyReport
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import json_of
from vggprof.views.latency_json import result
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import NOT_MODELLED, plural, say_setup
from vggprof.views.table import text_of

_CSV_HEADER = (
    "gpu",
    "layer",
    "op",
    "forward_ms",
    "dgrad_ms",
    "wgrad_ms",
    "bound",
    "share_of_peak",
    "low_ms",
    "high_ms",
)
_LADDER_NOTE = (
    "No GPU was named and none is here: these are common cards. Name one with --gpu for its layers and what "
    "bounds them."
)
_CHANGES = {"graph": "a CUDA graph", "fp16": "autocast to fp16", "bf16": "autocast to bf16"}


def latency(report: LatencyReport, form: Form) -> str:
    """Return *report* in *form*.

    As a table it begins like this::

        vgg16: time of a training step

        batch 32, training with momentum, fp32
        GeForce RTX 3060 12GB: 373.43 ms a step, 311.19 to 448.12; 85.7 images a second
        Of it compute 66 %, memory 26 %, layout 7 %, launch 1 %
        ...
    """
    match form:
        case Form.TABLE:
            return text_of(latency_document(report))
        case Form.MARKDOWN:
            return markdown_of(latency_document(report))
        case Form.CSV:
            return csv_of(_CSV_HEADER, _csv_rows(report))
        case Form.JSON:
            return json_of("latency", result(report), arch=report.arch, setup=report.setup)
        case _:
            assert_never(form)


def latency_document(report: LatencyReport) -> Document:
    """Return what people read of *report*."""
    what = "a training step" if report.setup.training else "inference"
    notes = Notes("Assumed", (*report.assumptions, NOT_MODELLED))
    return Document(f"{report.arch}: time of {what}", (*_blocks(report), notes))


def _blocks(report: LatencyReport) -> Iterator[Block]:
    only = report.single
    if only is None:
        yield Lines((say_setup(report.setup),))
        yield _ladder(report.cards)
        yield Lines((_LADDER_NOTE,))
        return
    yield Lines((say_setup(report.setup), *_said(only)))
    yield _phases(only)
    if report.epoch is not None:
        yield Lines((_epoch(report.epoch),))
    if report.changes:
        yield _changes(report.changes)
    if report.curve is not None:
        yield _curve(report.curve)
    yield _layers(only)


def _said(only: Latency) -> Iterator[str]:
    step = only.step
    yield (
        f"{only.device.name}: {step.likely:.2f} ms a step, {step.low:.2f} to {step.high:.2f}; "
        f"{only.images_per_s:.1f} images a second"
    )
    shares = ", ".join(f"{bound} {100 * ms / only.busy_ms:.0f} %" for bound, ms in only.bounds_ms.items())
    yield f"Of what the GPU does, {shares}"
    if only.host_bound:
        yield "The host is the bottleneck: the GPU waits for it. A CUDA graph or a larger batch would help."


def _phases(only: Latency) -> Table:
    phases = (
        ("forward", only.forward),
        ("backward", only.backward),
        ("optimizer", only.optimizer),
        ("step", only.step),
    )
    return Table(
        "Milliseconds",
        (Column("phase", Unit.TEXT), *(Column(name, Unit.NUMBER) for name in ("likely", "low", "high"))),
        tuple((name, *_cells(each)) for name, each in phases if each is not None),
    )


def _cells(each: Interval) -> tuple[float, float, float]:
    return each.likely, each.low, each.high


def _ladder(cards: tuple[Latency, ...]) -> Table:
    return Table(
        "On common cards, milliseconds a step",
        (
            Column("GPU", Unit.TEXT),
            *(Column(name, Unit.NUMBER) for name in ("likely", "low", "high", "images/s")),
            Column("mostly", Unit.TEXT),
        ),
        tuple(
            (
                card.device.name,
                *_cells(card.step),
                card.images_per_s,
                "host" if card.host_bound else _most(card),
            )
            for card in cards
        ),
    )


def _most(card: Latency) -> str:
    return max(card.bounds_ms, key=lambda bound: card.bounds_ms[bound]).value


def _epoch(epoch: Epoch) -> str:
    hours = epoch.hours
    return (
        f"An epoch of {plural(epoch.images, 'image')} takes {plural(epoch.steps, 'step')}: "
        f"{hours.likely:.2f} hours, {hours.low:.2f} to {hours.high:.2f}."
    )


def _changes(changes: tuple[Change, ...]) -> Table:
    return Table(
        "What would change it, by images a second",
        (
            Column("instead", Unit.TEXT),
            Column("ms a step", Unit.NUMBER),
            Column("images/s", Unit.NUMBER),
            Column("gain", Unit.RATIO),
        ),
        tuple(
            (
                _CHANGES.get(each.what, each.what),
                each.latency.step.likely,
                each.latency.images_per_s,
                each.gain,
            )
            for each in changes
        ),
    )


def _curve(curve: Curve) -> Table:
    knee = curve.knee
    title = "Over batch sizes"
    if curve.largest_batch is not None:
        title += f"; the memory holds {curve.largest_batch}"
    if knee is not None:
        title += f"; from {knee.batch} on within 10 % of the best of these"
    return Table(
        title,
        (
            Column("batch", Unit.EXACT),
            *(Column(name, Unit.NUMBER) for name in ("ms", "low", "high", "images/s")),
        ),
        tuple((point.batch, *_cells(point.step), point.images_per_s) for point in curve.points),
    )


def _layers(only: Latency) -> Table:
    return Table(
        "By layer, milliseconds on the GPU",
        (
            Column("layer", Unit.TEXT),
            *(Column(name, Unit.NUMBER) for name in ("forward", "dgrad", "wgrad")),
            Column("bound", Unit.TEXT),
            Column("of peak", Unit.PERCENT),
            Column("algorithms", Unit.TEXT),
        ),
        tuple(_layer(layer) for layer in only.layers),
    )


def _layer(layer: LayerLatency) -> tuple[Cell, ...]:
    return (
        layer.name,
        layer.forward_ms,
        layer.dgrad_ms,
        layer.wgrad_ms,
        layer.bound and layer.bound.value,
        layer.share_of_peak,
        ", ".join(layer.algorithms) or None,
    )


def _csv_rows(report: LatencyReport) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each card's step, with all its forward time, then one for each of its layers."""
    for card in report.cards:
        backward = None if card.backward is None else card.backward.likely
        step = card.step
        yield (
            card.device.name,
            None,
            None,
            card.forward.likely,
            backward,
            None,
            None,
            None,
            step.low,
            step.high,
        )
        for layer in card.layers:
            yield (
                card.device.name,
                layer.name,
                layer.op,
                layer.forward_ms,
                layer.dgrad_ms,
                layer.wgrad_ms,
                layer.bound and layer.bound.value,
                layer.share_of_peak,
                None,
                None,
            )
