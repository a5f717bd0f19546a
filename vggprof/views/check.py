"""Whether a training passes its gate, as text."""

from typing import assert_never

from vggprof.forms import Form
from vggprof.memory.gate import Gate
from vggprof.memory.verdict import Prediction
from vggprof.units import format_bytes
from vggprof.views.csv import csv_of
from vggprof.views.document import Cell, Document, Lines
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.memory_json import result
from vggprof.views.phrases import say_setup
from vggprof.views.table import text_of
from vggprof.views.verdict import say_software, verdict

_CSV_HEADER = (
    "passed",
    "device",
    "status",
    "process_bytes",
    "process_bytes_low",
    "process_bytes_high",
    "usable_bytes",
    "spare_bytes",
    "max_memory_bytes",
    "limit",
    "over_bytes",
)
# Of what `vggprof memory` says of one card.
_KEYS = ("verdict", "prediction", "software", "assumptions")


def check(gate: Gate, form: Form) -> str:
    """Return *gate* in *form*.

    As a table::

    vgg16: check passed

    batch 32, training with momentum, fp32
    GeForce RTX 3060 12GB: FITS, 4.90 GiB to spare of 11.63 GiB usable
    Limit of 8.00 GiB: WITHIN, the process stays 806.34 MiB below it
    The whole process takes 6.37 GiB to 7.21 GiB, likely 6.73 GiB
    With torch 2.15 and cuDNN 9.26.0.51
    """
    match form:
        case Form.TABLE:
            return text_of(check_document(gate))
        case Form.MARKDOWN:
            return markdown_of(check_document(gate))
        case Form.CSV:
            return csv_of(_CSV_HEADER, [_row(gate)])
        case Form.JSON:
            return json_of("check", _json(gate), arch=gate.report.arch, setup=gate.report.setup)
        case _:
            assert_never(form)


def check_failed(gate: Gate) -> str:
    """Return one line on what did not hold.

    ``vgg16 at batch 512 did not pass: Tesla T4: OOM, 12.92 GiB too little of 14.56 GiB usable``
    """
    reasons = [] if gate.fits_card else [next(verdict(gate.card))]
    if gate.limit_bytes is not None and not gate.keeps_limit:
        reasons.append(_limit(gate, gate.limit_bytes))
    return f"{gate.report.arch} at batch {gate.report.setup.batch} did not pass: {'; '.join(reasons)}"


def check_document(gate: Gate) -> Document:
    """Return what people read of *gate*."""
    said = [say_setup(gate.report.setup), *verdict(gate.card)]
    if gate.limit_bytes is not None:
        said.append(_limit(gate, gate.limit_bytes))
    said += [_process(gate.card.prediction), say_software(gate.report.software)]
    outcome = "passed" if gate.passed else "FAILED"
    return Document(f"{gate.report.arch}: check {outcome}", (Lines(tuple(said)),))


def _limit(gate: Gate, limit_bytes: int) -> str:
    assert gate.keeping is not None
    beyond = gate.process.high - limit_bytes
    by = format_bytes(abs(beyond))
    rest = f"can go {by} above it" if beyond > 0 else f"stays {by} below it"
    return f"Limit of {format_bytes(limit_bytes)}: {gate.keeping.value}, the process {rest}"


def _process(prediction: Prediction) -> str:
    process = prediction.process
    ends = f"{format_bytes(process.low)} to {format_bytes(process.high)}"
    likely = "" if process.likely is None else f", likely {format_bytes(process.likely)}"
    takes = "takes" if prediction.failure is None else "would take, on a card with room enough,"
    return f"The whole process {takes} {ends}{likely}"


def _row(gate: Gate) -> tuple[Cell, ...]:
    prediction = gate.card.prediction
    return (
        gate.passed,
        prediction.device.name,
        prediction.status.value,
        gate.process.likely,
        gate.process.low,
        gate.process.high,
        prediction.usable_bytes,
        gate.card.spare_bytes,
        gate.limit_bytes,
        None if gate.keeping is None else gate.keeping.value,
        gate.over_bytes,
    )


def _json(gate: Gate) -> dict[str, Json]:
    said = result(gate.report)
    return {
        "passed": gate.passed,
        "allow_tight": gate.allow_tight,
        "max_memory_bytes": gate.limit_bytes,
        "limit": None if gate.keeping is None else gate.keeping.value,
        "over_bytes": gate.over_bytes,
        **{key: said[key] for key in _KEYS},
    }
