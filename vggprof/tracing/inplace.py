"""Activations that may write over their input: nobody else reads it afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from vggprof.trace import Freed, Mark, Operand, Operator, Phase, Trace

# Dropout is not among them: in place, CUDA does without its fused kernel and draws a mask in full precision
# (is_fused_kernel_acceptable in ATen/native/Dropout.cpp), which takes as much as it saves.
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid)


def activations_in_place(module: nn.Module, trace: Trace) -> tuple[str, ...]:
    """Return the activations of *module* that may run in place, by what the plain step *trace* shows.

    Every call of one must take a whole tensor, made by an operator, that nothing else reads later, going
    forward, recomputing or going backward, and that nobody holds on to. Functions (``F.relu``) stay as they
    are.
    """
    candidates = {path: part for path, part in module.named_modules() if _can(part)}
    flow = _Flow(trace)
    calls: defaultdict[str, list[bool]] = defaultdict(list)
    for layer, called in enumerate(trace.layers):
        if called.module in candidates:
            calls[called.module].append(flow.ends_in(layer))
    return tuple(path for path, rights in calls.items() if all(rights))


def _can(part: nn.Module) -> bool:
    """Whether *part* has a form in place that it does not use; backward refuses negative slopes there."""
    slope = part.negative_slope if isinstance(part, nn.LeakyReLU) else getattr(part, "alpha", 0)
    return isinstance(part, _ACTIVATIONS) and not part.inplace and slope >= 0


class _Flow:
    """Who makes and who reads each storage of a trace's only step."""

    def __init__(self, trace: Trace) -> None:
        self._operators = trace.operators
        self._of_layer: defaultdict[int | None, list[int]] = defaultdict(list)
        self._made: dict[int, Operand] = {}
        self._readers: defaultdict[int, list[int]] = defaultdict(list)
        for number, op in enumerate(trace.operators):
            self._of_layer[op.layer].append(number)
            self._made |= {operand.storage: operand for operand in op.born}
            for operand in op.inputs:
                self._readers[operand.storage].append(number)
        self._let_go = _let_go(trace)

    def ends_in(self, layer: int) -> bool:
        """Whether what each call of *layer* takes ends there."""
        ran = [(number, self._operators[number]) for number in self._of_layer[layer]]
        forward = {op.name for _, op in ran if op.phase is Phase.FORWARD}
        return all(self._ends_at(number, op, forward) for number, op in ran if op.name in forward)

    def _ends_at(self, number: int, op: Operator, forward: set[str]) -> bool:
        taken = op.inputs[0]
        made = self._made.get(taken.storage)
        later = (self._operators[reader] for reader in self._readers[taken.storage] if reader > number)
        return (
            made is not None
            and (made.shape, made.strides) == (taken.shape, taken.strides)
            and taken.storage in self._let_go
            and all(reader.layer == op.layer and reader.name not in forward for reader in later)
        )


def _let_go(trace: Trace) -> frozenset[int]:
    """Return the storages that died before the last thing the network does: nobody returned or kept them."""
    last = Phase.BACKWARD if trace.setup.training else Phase.FORWARD
    freed: set[int] = set()
    for event in trace.events:
        if isinstance(event, Freed):
            freed.add(event.storage)
        elif isinstance(event, Mark) and event.phase is last:
            break
    return frozenset(freed)


@contextmanager
def in_place(module: nn.Module, paths: Sequence[str]) -> Iterator[None]:
    """Let the activations at *paths* of *module* run in place."""
    parts: list[Any] = [module.get_submodule(path) for path in paths]
    for part in parts:
        part.inplace = True
    try:
        yield
    finally:
        for part in parts:
            part.inplace = False
