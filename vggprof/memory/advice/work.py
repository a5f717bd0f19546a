"""What a training step computes, for saying what a change costs."""

from dataclasses import dataclass

from vggprof.analyzers import operator_macs
from vggprof.analyzers.operators import base
from vggprof.trace import Trace


@dataclass(frozen=True, slots=True)
class Work:
    """What one step computes; an operator without a MAC rule counts 0."""

    macs: int
    casts: int  # tensors written anew in another type
    learning: int  # numbers that are trained


def work_of(trace: Trace) -> Work:
    """Return the work of the first step of *trace*."""
    operators = tuple(trace.step_operators(0))
    return Work(
        macs=sum(operator_macs(operator) or 0 for operator in operators),
        casts=sum(base(operator.name) == "_to_copy" for operator in operators),
        learning=sum(parameter.elements for parameter in trace.parameters if parameter.trainable),
    )
