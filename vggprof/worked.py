"""The part of the API that is about the workloads of the VGG paper and of its notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vggprof.trace import Setup
from vggprof.workloads.transfer import CONVOLUTIONS, LINEAR

if TYPE_CHECKING:
    from vggprof.workloads.stack import StackReport
    from vggprof.workloads.transfer import Transfer


def stack(arch: str, setup: Setup | None = None) -> StackReport:
    """Return what each stack of convolutions of *arch* costs beside the one with its receptive field.

    Raises ArchError for a factory, and as `vggprof.layers` does.
    """
    from vggprof.api import trace_arch
    from vggprof.workloads.stack import stack_report

    setup = setup or Setup()
    return stack_report(arch, setup, lambda name: trace_arch(name, setup))


def transfer(source: str, target: str, *, convolutions: int = CONVOLUTIONS, linear: int = LINEAR) -> Transfer:
    """Return which layers of *target* begin with weights of *source*, and which start fresh.

    *convolutions* and *linear* are how many inherit, from the first of each; by default as in the VGG paper.
    `Transfer.apply` does it to state dicts. Raises UsageError for layers that do not fit, by name.
    """
    from vggprof.api import trace_arch
    from vggprof.workloads.transfer import transfer as planned

    traces = (trace_arch(source), trace_arch(target))
    return planned(*traces, convolutions=convolutions, linear=linear)
