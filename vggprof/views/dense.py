"""Dense evaluation beside many crops, as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.forms import Form
from vggprof.views.cards import card_json, say_cards
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say_shape
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import NOT_MODELLED, say_setup
from vggprof.views.stack import percents
from vggprof.views.table import text_of
from vggprof.workloads.dense import DenseReport, Evaluation, Way

_HEADER = (
    "way",
    "scales",
    "mirrored",
    "crops",
    "score_maps",
    "images",
    "macs",
    "peak_bytes",
    "card",
    "verdict",
)
_NOTES = (
    "Dense: the classifier as convolutions (the first as large as the map that it takes, the others 1x1), "
    "run on the whole image with its smaller side at Q, taken as square. Scores are averaged over the map.",
    "Multi-crop: a 5x5 grid of crops and their mirror images, 50 a scale, through the network as it is; a "
    "scale's crops are one batch.",
    "Several scales are run one after the other and need as much as the one that takes most; where there is "
    "room, PyTorch may keep more of the others. A mirrored image is in one batch with its image.",
    "Rescaling and cropping are the host's work and not counted.",
)


def dense(report: DenseReport, form: Form) -> str:
    """Return *report* in *form*.

    As a table it begins like this::

    vgg16: dense evaluation

    batch 1, inference, fp32

    Evaluations of one image
    way    Q            mirrored  score maps     MACs     ...
    """
    match form:
        case Form.TABLE:
            return text_of(dense_document(report))
        case Form.MARKDOWN:
            return markdown_of(dense_document(report))
        case Form.CSV:
            return csv_of(_HEADER, (row for each in report.evaluations for row in _csv_rows(each)))
        case Form.JSON:
            return json_of("dense", _result(report), arch=report.arch, setup=report.setup)
        case _:
            assert_never(form)


def dense_document(report: DenseReport) -> Document:
    """Return all that tables say of *report*."""
    blocks = (Lines((say_setup(report.setup),)), _work(report), _memory(report), *_errors(report))
    notes = (
        Notes("How to read this", _NOTES),
        Notes("Assumed", (*report.assumptions, NOT_MODELLED)),
    )
    return Document(f"{report.arch}: dense evaluation", (*blocks, *notes))


def _work(report: DenseReport) -> Table:
    base = report.evaluations[0].macs
    return Table(
        "Evaluations of one image",
        (
            Column("way", Unit.TEXT),
            Column("Q", Unit.TEXT),
            Column("mirrored", Unit.TEXT),
            Column("score maps", Unit.TEXT),
            Column("MACs", Unit.COUNT),
            Column("against the first", Unit.RATIO),
        ),
        tuple(
            (*_named(each), " ".join(map(say_shape, each.score_maps)) or None, each.macs, each.macs / base)
            for each in report.evaluations
        ),
    )


def _memory(report: DenseReport) -> Table:
    return Table(
        "Memory",
        (
            Column("way", Unit.TEXT),
            Column("Q", Unit.TEXT),
            Column("mirrored", Unit.TEXT),
            Column("images a batch", Unit.EXACT),
            Column("tensors", Unit.BYTES),
            Column("process", Unit.BYTES),
            Column("verdict", Unit.TEXT),
        ),
        tuple(
            (*_named(each), each.images, each.peak_bytes, *_process(each), say_cards(each.cards))
            for each in report.evaluations
        ),
    )


def _named(each: Evaluation) -> tuple[str, str, str]:
    way = each.way.value if each.way is Way.DENSE else f"{each.crops} crops"
    return way, ",".join(map(str, each.scales)), "yes" if each.mirrored else "no"


def _process(each: Evaluation) -> tuple[Cell]:
    return (None if each.card is None else each.card.prediction.process.high,)


def _errors(report: DenseReport) -> Iterator[Block]:
    if not report.errors:
        return
    yield Table(
        "Published errors, per cent (Simonyan & Zisserman 2015, arXiv:1409.1556v6, Tables 3 to 5)",
        (
            Column("way", Unit.TEXT),
            Column("S", Unit.TEXT),
            Column("Q", Unit.TEXT),
            Column("top-1", Unit.SAID),
            Column("top-5", Unit.SAID),
            Column("table", Unit.EXACT),
        ),
        tuple(
            (
                error.method,
                error.train_scale,
                ",".join(map(str, error.test_scales)),
                *percents(error),
                error.table,
            )
            for error in report.errors
        ),
    )


def _csv_rows(each: Evaluation) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each card."""
    for card in each.cards:
        yield (
            each.way.value,
            " ".join(map(str, each.scales)),
            each.mirrored,
            each.crops,
            " ".join(map(say_shape, each.score_maps)),
            each.images,
            each.macs,
            each.peak_bytes,
            card.prediction.device.name,
            card.prediction.status.value,
        )


def _result(report: DenseReport) -> dict[str, Json]:
    return {
        "evaluations": [_evaluation(each) for each in report.evaluations],
        "published_errors": [asdict(error) for error in report.errors],
        "assumptions": list(report.assumptions),
    }


def _evaluation(each: Evaluation) -> Json:
    return {
        "way": each.way.value,
        "scales": each.scales,
        "mirrored": each.mirrored,
        "crops": each.crops,
        "score_maps": each.score_maps,
        "images": each.images,
        "macs": each.macs,
        "peak_bytes": each.peak_bytes,
        "devices": [card_json(card) for card in each.cards],
    }
