"""Whether trainings run on this machine, as text."""

from collections.abc import Iterator
from typing import assert_never

from vggprof.forms import Form
from vggprof.memory.verdict import Status
from vggprof.units import format_bytes
from vggprof.views.cards import card_json
from vggprof.views.csv import csv_of
from vggprof.views.document import Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.here import here_json, say_here
from vggprof.views.json import Json, json_of, setup_json
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import NOT_MODELLED, say_setup
from vggprof.views.table import text_of
from vggprof.views.verdict import verdict
from vggprof.workloads.doctor import Answer, Diagnosis, Software

_HEADER = ("workload", "arch", "batch", "card", "verdict", "process_bytes_high", "tensors_bytes")


def doctor(diagnosis: Diagnosis, form: Form) -> str:
    """Return *diagnosis* in *form*.

    As a table it begins like this::

    Will it run here

    No GPU here: the NVIDIA driver is not loaded
    torch 2.15.0, built for CUDA 13.0; cuDNN 9.26.0.51
    ...
    """
    match form:
        case Form.TABLE:
            return text_of(doctor_document(diagnosis))
        case Form.MARKDOWN:
            return markdown_of(doctor_document(diagnosis))
        case Form.CSV:
            return csv_of(_HEADER, (row for each in diagnosis.answers for row in _csv_rows(each)))
        case Form.JSON:
            return json_of("doctor", _result(diagnosis))
        case _:
            assert_never(form)


def doctor_document(diagnosis: Diagnosis) -> Document:
    """Return all that tables say of *diagnosis*."""
    here = (*say_here(diagnosis.survey), *_software(diagnosis))
    table = Table(
        "Workloads",
        (
            Column("workload", Unit.TEXT),
            Column("architecture", Unit.TEXT),
            Column("setup", Unit.TEXT),
            Column("tensors", Unit.BYTES),
            Column("runs here", Unit.TEXT),
        ),
        tuple(_row(each, usable=diagnosis.gpu_usable) for each in diagnosis.answers),
    )
    notes = (
        Notes("Not on a GPU here, because", diagnosis.troubles),
        *(
            Notes(f"{each.workload.name} ({each.report.arch})", tuple(verdict(each.card)))
            for each in diagnosis.answers
            if each.card is not None
        ),
        Notes("Assumed", (*diagnosis.answers[0].report.assumptions, NOT_MODELLED)),
    )
    return Document("Will it run here", (Lines(here), table, *(note for note in notes if note.items)))


def _software(diagnosis: Diagnosis) -> Iterator[str]:
    survey, software = diagnosis.survey, diagnosis.software
    if survey.driver_version is not None:
        cuda = survey.cuda_version
        upto = "" if cuda is None else f", runs CUDA up to {_dotted(cuda)}"
        yield f"Driver {survey.driver_version}{upto}"
    yield f"{_torch(software)}; cuDNN {software.cudnn or 'none that can be asked'}"
    if software.available_bytes is not None:
        yield f"Memory of the machine: {format_bytes(software.available_bytes)} available"


def _torch(software: Software) -> str:
    if software.torch is None:
        return "No torch"
    built = "without CUDA" if software.torch_cuda is None else f"for CUDA {_dotted(software.torch_cuda)}"
    return f"torch {software.torch}, built {built}"


def _dotted(cuda: tuple[int, int]) -> str:
    return f"{cuda[0]}.{cuda[1]}"


def _row(each: Answer, *, usable: bool) -> tuple[Cell, ...]:
    return (
        each.workload.name,
        each.workload.arch,
        say_setup(each.workload.setup),
        each.report.tensors.peak.allocated_bytes,
        _runs(each, usable=usable),
    )


def _runs(each: Answer, *, usable: bool) -> str:
    if each.card is not None:
        status = each.card.prediction.status
        said = {Status.FITS: "yes", Status.TIGHT: "maybe: TIGHT", Status.OOM: "no: out of memory"}[status]
        return said if usable else f"no: see below; its memory would do ({status.value})"
    if each.smallest is None:
        return "no: no GPU, and none of the common cards would do"
    return f"no: no GPU; it fits from {each.smallest.prediction.device.name} on"


def _csv_rows(each: Answer) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each card."""
    for card in each.report.cards:
        prediction = card.prediction
        yield (
            each.workload.name,
            each.workload.arch,
            each.workload.setup.batch,
            prediction.device.name,
            prediction.status.value,
            prediction.process.high,
            each.report.tensors.peak.allocated_bytes,
        )


def _result(diagnosis: Diagnosis) -> dict[str, Json]:
    software = diagnosis.software
    return {
        "here": here_json(diagnosis.survey),
        "torch": software.torch,
        "torch_cuda": None if software.torch_cuda is None else _dotted(software.torch_cuda),
        "cudnn": software.cudnn,
        "available_bytes": software.available_bytes,
        "gpu_usable": diagnosis.gpu_usable,
        "troubles": diagnosis.troubles,
        "workloads": [
            {
                "name": each.workload.name,
                "arch": each.workload.arch,
                "setup": setup_json(each.workload.setup),
                "fits": each.fits,
                "tensors_bytes": each.report.tensors.peak.allocated_bytes,
                "devices": [card_json(card) for card in each.report.cards],
            }
            for each in diagnosis.answers
        ],
    }
