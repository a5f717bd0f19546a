"""Everything that the command line can do, one call each.

Where an architecture is wanted, an ARCH text is taken (``"vgg16"``, ``"./net.yaml"``,
``"torchvision.models:resnet50"``) or a trace, such as `trace` makes of a module that a program holds.
Traces of ARCH texts are kept on disk, and torch is imported only where one has to be made.
"""

from vggprof.api.comparison import compare, report
from vggprof.api.machine import calibrate, forget_calibrations, list_calibrations, list_cudnn, list_gpus
from vggprof.api.measuring import compare_measurement, compare_sweep, measure
from vggprof.api.networks import build, layers, list_specs, trace, trace_arch
from vggprof.api.prediction import advise, check, latency, memory
from vggprof.api.replaying import replay, what_if
from vggprof.api.runs import (
    delete_runs,
    diff,
    export,
    find,
    get_run,
    keep,
    list_runs,
    read_measurements,
    write_measurements,
)
from vggprof.api.workloads import dense, dense_weights, doctor, fashion, jitter, stack, transfer
from vggprof.views.notebook import attach as show_in_notebooks

__all__ = [
    "advise",
    "build",
    "calibrate",
    "check",
    "compare",
    "compare_measurement",
    "compare_sweep",
    "delete_runs",
    "dense",
    "dense_weights",
    "diff",
    "doctor",
    "export",
    "fashion",
    "find",
    "forget_calibrations",
    "get_run",
    "jitter",
    "keep",
    "latency",
    "layers",
    "list_calibrations",
    "list_cudnn",
    "list_gpus",
    "list_runs",
    "list_specs",
    "measure",
    "memory",
    "read_measurements",
    "replay",
    "report",
    "stack",
    "trace",
    "trace_arch",
    "transfer",
    "what_if",
    "write_measurements",
]

show_in_notebooks()
