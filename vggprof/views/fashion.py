"""A training on Fashion-MNIST, beside what was predicted for it, as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.forms import Form
from vggprof.views.cards import card_json
from vggprof.views.csv import csv_of
from vggprof.views.document import Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import plural, say_setup
from vggprof.views.table import text_of
from vggprof.views.verdict import verdict
from vggprof.workloads.fashion import Epoch, FashionReport, Pass

_HEADER = (
    "epoch",
    *("loss", "accuracy", "seconds", "samples_per_s"),
    *("test_loss", "test_accuracy", "test_seconds", "test_samples_per_s"),
)
_ON_CPU = (
    "Predicted for the CPU is what tensors take; what libraries set aside comes on top. Measured is the peak "
    "of the process; - where it held more before the training began."
)


def fashion(report: FashionReport, form: Form) -> str:
    """Return *report* in *form*.

    As a table it begins like this::

    vgg11-d2l on Fashion-MNIST

    batch 32, training with sgd, fp32, learning rate 0.05, on cpu
    ...
    """
    match form:
        case Form.TABLE:
            return text_of(fashion_document(report))
        case Form.MARKDOWN:
            return markdown_of(fashion_document(report))
        case Form.CSV:
            return csv_of(_HEADER, _rows(report))
        case Form.JSON:
            return json_of("fashion", _result(report), arch=report.plan.arch, setup=report.setup)
        case _:
            assert_never(form)


def fashion_document(report: FashionReport) -> Document:
    """Return all that tables say of *report*."""
    table = Table(
        "Epochs",
        (
            Column("epoch", Unit.EXACT),
            Column("loss", Unit.NUMBER),
            Column("accuracy", Unit.PERCENT),
            Column("s", Unit.NUMBER),
            Column("samples/s", Unit.NUMBER),
            Column("test loss", Unit.NUMBER),
            Column("accuracy", Unit.PERCENT),
            Column("s", Unit.NUMBER),
            Column("samples/s", Unit.NUMBER),
        ),
        tuple(_rows(report)),
    )
    blocks = (Lines(tuple(_lines(report))), table, _memory(report))
    return Document(f"{report.plan.arch} on Fashion-MNIST", (*blocks, *_notes(report)))


def _notes(report: FashionReport) -> Iterator[Notes]:
    predicted = report.predicted.single
    if report.trained.device == "cpu":
        yield Notes("How to read this", (_ON_CPU,))
    if predicted is not None:
        yield Notes("Predicted for the GPU", tuple(verdict(predicted)))


def _lines(report: FashionReport) -> Iterator[str]:
    plan, trained = report.plan, report.trained
    yield f"{say_setup(report.setup)}, learning rate {plan.learning_rate:g}, on {trained.device}"
    if trained.device_note is not None:
        yield f"Not on a GPU: {trained.device_note}"
    yield f"{plural(trained.train_images, 'image')} to train on, {trained.test_images:,} to test"
    if trained.out_of_memory is not None:
        after = plural(len(trained.epochs), "epoch")
        yield f"Out of memory after {after} of {plan.epochs}: {trained.out_of_memory}"
    if any(epoch.train.loss is None for epoch in trained.epochs):
        yield "The loss is no number any more: a smaller --learning-rate may help."


def _memory(report: FashionReport) -> Table:
    only, tensors = report.predicted.single, report.predicted.tensors.peak.allocated_bytes
    measured = report.trained.memory
    allocated = None if only is None else only.prediction.peak_allocated.likely
    reserved = None if only is None else only.prediction.peak_reserved.likely
    on_gpu: tuple[tuple[Cell, ...], ...] = (
        ("tensors alone", tensors, None),
        ("PyTorch allocates", allocated, measured.allocated_bytes),
        ("PyTorch reserves", reserved, measured.reserved_bytes),
    )
    on_cpu = (("process on the CPU, beyond what it held before", tensors, measured.resident_bytes),)
    return Table(
        "Memory, at most",
        (Column("what", Unit.TEXT), Column("predicted", Unit.BYTES), Column("measured", Unit.BYTES)),
        on_gpu if report.trained.device == "cuda" else on_cpu,
    )


def _rows(report: FashionReport) -> Iterator[tuple[Cell, ...]]:
    for number, epoch in enumerate(report.trained.epochs, 1):
        yield number, *_cells(epoch.train), *_cells(epoch.test)


def _cells(once: Pass) -> tuple[Cell, ...]:
    return once.loss, once.accuracy, once.seconds, once.samples_per_s


def _result(report: FashionReport) -> dict[str, Json]:
    plan, trained = report.plan, report.trained
    return {
        "device": trained.device,
        "device_note": trained.device_note,
        "samples": plan.samples,
        "train_images": trained.train_images,
        "test_images": trained.test_images,
        "learning_rate": plan.learning_rate,
        "seed": plan.seed,
        "epochs": [_epoch(epoch) for epoch in trained.epochs],
        "measured": asdict(trained.memory),
        "out_of_memory": trained.out_of_memory,
        "predicted": {
            "tensors_bytes": report.predicted.tensors.peak.allocated_bytes,
            "devices": [card_json(card) for card in report.predicted.cards],
        },
    }


def _epoch(epoch: Epoch) -> Json:
    return {
        name: {
            "samples": once.samples,
            "loss": once.loss,
            "accuracy": once.accuracy,
            "time_ms": 1000 * once.seconds,
            "samples_per_s": once.samples_per_s,
        }
        for name, once in (("train", epoch.train), ("test", epoch.test))
    }
