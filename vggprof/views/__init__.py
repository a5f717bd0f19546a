"""Views: a value in, text out, nothing computed but its form."""

from vggprof.forms import Form
from vggprof.views.advice import advice
from vggprof.views.calibration import calibration
from vggprof.views.check import check, check_failed
from vggprof.views.compare import compare
from vggprof.views.dense import dense
from vggprof.views.devices import devices
from vggprof.views.diff import diff, diff_failed, diff_incomparable, diff_undecided
from vggprof.views.doctor import doctor
from vggprof.views.fashion import fashion
from vggprof.views.jitter import jitter
from vggprof.views.latency import latency
from vggprof.views.latency_plot import latency_plot, latency_svg
from vggprof.views.layers import layers
from vggprof.views.libraries import libraries
from vggprof.views.measurement import measurement, sweep
from vggprof.views.memory import memory
from vggprof.views.memory_plot import memory_plot
from vggprof.views.memory_snapshot import memory_snapshot
from vggprof.views.memory_svg import memory_svg
from vggprof.views.replay import replay
from vggprof.views.report import report_files
from vggprof.views.runs import runs
from vggprof.views.specs import specs
from vggprof.views.stack import stack
from vggprof.views.supposed import supposed
from vggprof.views.transfer import transfer

__all__ = [
    "Form",
    "advice",
    "calibration",
    "check",
    "check_failed",
    "compare",
    "dense",
    "devices",
    "diff",
    "diff_failed",
    "diff_incomparable",
    "diff_undecided",
    "doctor",
    "fashion",
    "jitter",
    "latency",
    "latency_plot",
    "latency_svg",
    "layers",
    "libraries",
    "measurement",
    "memory",
    "memory_plot",
    "memory_snapshot",
    "memory_svg",
    "replay",
    "report_files",
    "runs",
    "specs",
    "stack",
    "supposed",
    "sweep",
    "transfer",
]
