"""How notebooks show results: by the ``_repr_html_`` that IPython asks them for.

Values know nothing of views, so the views hand it to their classes; `vggprof.api`, where results come from,
has that done.
"""

from collections.abc import Callable
from functools import partialmethod
from typing import Any

from vggprof.analyzers import LayerTable
from vggprof.compare import Comparison
from vggprof.compare.diff import RunDiff
from vggprof.compare.measured import MeasuredReport
from vggprof.compare.sweep import SweepReport
from vggprof.devices.calibration_listing import CalibrationListing
from vggprof.devices.listing import GpuListing
from vggprof.latency.report import LatencyReport
from vggprof.measurement import Measurement
from vggprof.memory.gate import Gate
from vggprof.memory.replay.files import ReplayedFile
from vggprof.memory.replay.supposed import SupposedFile
from vggprof.memory.report import MemoryReport
from vggprof.memory.workspaces.listing import CudnnListing
from vggprof.profiler.sweep import Sweep
from vggprof.report import Report
from vggprof.views.calibration import calibration_document
from vggprof.views.check import check_document
from vggprof.views.compare import compare_document
from vggprof.views.dense import dense_document
from vggprof.views.devices import devices_document
from vggprof.views.diff import diff_document
from vggprof.views.doctor import doctor_document
from vggprof.views.document import Document
from vggprof.views.fashion import fashion_document
from vggprof.views.html import html_of
from vggprof.views.jitter import jitter_document
from vggprof.views.latency import latency_document
from vggprof.views.layers import layers_document
from vggprof.views.libraries import libraries_document
from vggprof.views.measurement import sweep_documents
from vggprof.views.measurement_tables import document as measured_document
from vggprof.views.memory import memory_document
from vggprof.views.replay import replay_document
from vggprof.views.report_sections import report_document
from vggprof.views.stack import stack_document
from vggprof.views.supposed import supposed_document
from vggprof.views.transfer import transfer_document
from vggprof.workloads.dense import DenseReport
from vggprof.workloads.doctor import Diagnosis
from vggprof.workloads.fashion import FashionReport
from vggprof.workloads.jitter import JitterReport
from vggprof.workloads.stack import StackReport
from vggprof.workloads.transfer import Transfer

_HOOK = "_repr_html_"


def _alone(measurement: Measurement) -> Document:
    return measured_document(MeasuredReport(measurement))


def _sweep(sweep: Sweep) -> tuple[Document, ...]:
    return sweep_documents(SweepReport(tuple(map(MeasuredReport, sweep.measurements))))


# One of each kind or, of several measurements, some that follow each other.
DOCUMENTS: dict[type, Callable[[Any], Document | tuple[Document, ...]]] = {
    CalibrationListing: calibration_document,
    Comparison: compare_document,
    CudnnListing: libraries_document,
    DenseReport: dense_document,
    Diagnosis: doctor_document,
    FashionReport: fashion_document,
    Gate: check_document,
    GpuListing: devices_document,
    JitterReport: jitter_document,
    LatencyReport: latency_document,
    LayerTable: layers_document,
    MeasuredReport: measured_document,
    Measurement: _alone,
    MemoryReport: memory_document,
    ReplayedFile: replay_document,
    Report: report_document,
    RunDiff: diff_document,
    StackReport: stack_document,
    SupposedFile: supposed_document,
    Sweep: _sweep,
    SweepReport: sweep_documents,
    Transfer: transfer_document,
}


def attach() -> None:
    """Let notebooks show every result that has a document."""
    for kind, document in DOCUMENTS.items():
        setattr(kind, _HOOK, partialmethod(_shown, document))


def _shown(value: object, document: Callable[[Any], Document | tuple[Document, ...]]) -> str:
    made = document(value)
    return "".join(map(html_of, made if isinstance(made, tuple) else (made,)))
