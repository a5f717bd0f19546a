"""Training at random scales against fixed ones, as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.forms import Form
from vggprof.units import format_bytes
from vggprof.views.cards import card_json, say_cards
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say_shape
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import plural, say_setup
from vggprof.views.table import text_of
from vggprof.workloads.jitter import JitterReport, Pace

_HEADER = (
    *("step", "step_ms", "scale_low", "scale_high", "workers", "images_per_s", "taken_per_s"),
    *("input_bound", "workers_needed", "epoch_s"),
)
_NOTES = (
    "Brought are images opened, rescaled, cropped, mirrored and put into batches, measured on this machine; "
    "taken are those that the training works on where it never waits.",
    "Pictures that were made are smooth: photographs are larger files and take longer to open.",
    "An epoch goes at the pace of the slower. Workers needed: processes as fast as the measured ones.",
    "The GPU gets crops of one size whatever S is, so that its memory and its steps are the same.",
    "Times of steps on a GPU are predictions (`vggprof latency`), unless --step-ms gives one.",
)


def jitter(report: JitterReport, form: Form) -> str:
    """Return *report* in *form*.

    As a table it begins like this::

    vgg16: scale jitter

    batch 32, training with momentum, fp32
    Crops of 224x224 from 16 JPEGs of 500x375 made for this
    ...
    """
    match form:
        case Form.TABLE:
            return text_of(jitter_document(report))
        case Form.MARKDOWN:
            return markdown_of(jitter_document(report))
        case Form.CSV:
            return csv_of(_HEADER, map(_csv_row, report.paces))
        case Form.JSON:
            return json_of("jitter", _result(report), arch=report.arch, setup=report.setup)
        case _:
            assert_never(form)


def jitter_document(report: JitterReport) -> Document:
    """Return all that tables say of *report*."""
    lines = (
        say_setup(report.setup),
        f"Crops of {say_shape(report.crop)} from {report.pictures}",
        f"Memory at every scale: {_memory(report)}",
        *_conclusions(report),
    )
    blocks = (Lines(lines), _pipelines(report), *_paces(report), Notes("How to read this", _NOTES))
    return Document(f"{report.arch}: scale jitter", blocks)


def _memory(report: JitterReport) -> str:
    """Return what the training takes: ``1.60 GiB of tensors, process up to 3.52 GiB; FITS on ...``."""
    only, tensors = report.memory.single, report.memory.tensors.peak.allocated_bytes
    process = "" if only is None else f", process up to {format_bytes(only.prediction.process.high)}"
    return f"{format_bytes(tensors)} of tensors{process}; {say_cards(report.memory.cards)}"


def _conclusions(report: JitterReport) -> Iterator[str]:
    bound = [pace for pace in report.paces if pace.input_bound]
    if report.paces:
        total = len(report.paces)
        yield (
            f"Input-bound: {len(bound)} of {total} steps wait for their images" if bound else "No step waits"
        )


def _pipelines(report: JitterReport) -> Table:
    first = report.pipelines[0]
    return Table(
        f"The input pipeline, with {plural(first.workers, 'worker')}",
        (
            Column("scale", Unit.TEXT),
            Column("pixels rescaled to", Unit.RATIO),
            Column("images/s brought", Unit.NUMBER),
            Column("against the first", Unit.RATIO),
            Column("longest step that waits, ms", Unit.NUMBER),
        ),
        tuple(
            (
                str(each.scales),
                each.scales.pixels / first.scales.pixels,
                each.images_per_s,
                each.images_per_s / first.images_per_s,
                1000 * report.setup.batch * report.setup.accumulate / each.images_per_s,
            )
            for each in report.pipelines
        ),
    )


def _paces(report: JitterReport) -> Iterator[Block]:
    if report.steps:
        yield Table(
            f"An epoch of {report.epoch_images:,} images",
            (
                Column("step", Unit.TEXT),
                Column("ms", Unit.NUMBER),
                Column("images/s taken", Unit.NUMBER),
                Column("scale", Unit.TEXT),
                Column("waits", Unit.TEXT),
                Column("workers needed", Unit.EXACT),
                Column("hours", Unit.NUMBER),
            ),
            tuple(
                (
                    pace.step.name,
                    pace.step.step_ms,
                    pace.step.images_per_s,
                    str(pace.pipeline.scales),
                    "yes" if pace.input_bound else "no",
                    pace.workers_needed,
                    pace.epoch_s / 3600,
                )
                for pace in report.paces
            ),
        )


def _csv_row(pace: Pace) -> tuple[Cell, ...]:
    return (
        pace.step.name,
        pace.step.step_ms,
        pace.pipeline.scales.low,
        pace.pipeline.scales.high,
        pace.pipeline.workers,
        pace.pipeline.images_per_s,
        pace.step.images_per_s,
        pace.input_bound,
        pace.workers_needed,
        pace.epoch_s,
    )


def _result(report: JitterReport) -> dict[str, Json]:
    return {
        "crop": report.crop,
        "pictures": report.pictures,
        "epoch_images": report.epoch_images,
        "tensors_bytes": report.memory.tensors.peak.allocated_bytes,
        "devices": [card_json(card) for card in report.memory.cards],
        "pipelines": [{**asdict(each), "images_per_s": each.images_per_s} for each in report.pipelines],
        "paces": [dict(zip(_HEADER, _csv_row(pace), strict=True)) for pace in report.paces],
    }
