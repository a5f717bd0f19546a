"""vggprof: what a convolutional network costs, and whether it fits.

Public names are imported when they are first used: ``import vggprof`` loads neither torch nor pandas.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from vggprof._version import __version__

if TYPE_CHECKING:
    from vggprof.api import (
        advise,
        build,
        calibrate,
        check,
        compare,
        compare_measurement,
        compare_sweep,
        delete_runs,
        dense,
        dense_weights,
        diff,
        doctor,
        fashion,
        forget_calibrations,
        get_run,
        jitter,
        latency,
        layers,
        list_calibrations,
        list_cudnn,
        list_gpus,
        list_runs,
        list_specs,
        measure,
        memory,
        read_measurements,
        replay,
        report,
        stack,
        trace,
        transfer,
        what_if,
        write_measurements,
    )
    from vggprof.errors import (
        ArchError,
        CheckFailed,
        DeviceError,
        FileFormatError,
        GpuUnavailable,
        SpecError,
        UsageError,
        VggprofError,
    )
    from vggprof.target import Target
    from vggprof.trace.setup import Amp, Dtype, Layout, Mode, Optimizer, Setup, ZeroGrad

__all__ = [
    "Amp",
    "ArchError",
    "CheckFailed",
    "DeviceError",
    "Dtype",
    "FileFormatError",
    "GpuUnavailable",
    "Layout",
    "Mode",
    "Optimizer",
    "Setup",
    "SpecError",
    "Target",
    "UsageError",
    "VggprofError",
    "ZeroGrad",
    "__version__",
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
    "fashion",
    "forget_calibrations",
    "get_run",
    "jitter",
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
    "transfer",
    "what_if",
    "write_measurements",
]


class _Package(ModuleType):
    """This package, with its public names as properties.

    Some share their name with a room (`trace`, `memory`, `compare`, `latency`), and Python binds a room to
    its package when it is first imported; a property comes before that. ``from vggprof.trace import Trace``
    still works.
    """

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


def _public(name: str, room: str) -> property:
    def get(_package: ModuleType) -> object:
        return getattr(import_module(room), name)

    def keep(_package: ModuleType, value: object) -> None:
        if not isinstance(value, ModuleType):
            raise AttributeError(f"vggprof.{name} cannot be set")

    return property(get, keep)


_ROOMS = {
    "vggprof.api": (
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
        "fashion",
        "forget_calibrations",
        "get_run",
        "jitter",
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
        "transfer",
        "what_if",
        "write_measurements",
    ),
    "vggprof.errors": tuple(name for name in __all__ if name.endswith(("Error", "Failed", "Unavailable"))),
    "vggprof.target": ("Target",),
    "vggprof.trace.setup": ("Amp", "Dtype", "Layout", "Mode", "Optimizer", "Setup", "ZeroGrad"),
}
for _room, _names in _ROOMS.items():
    for _name in _names:
        setattr(_Package, _name, _public(_name, _room))
sys.modules[__name__].__class__ = _Package
