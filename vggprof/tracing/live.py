"""Tracing a module that a program already holds, with its own inputs, loss or whole step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from vggprof.errors import ArchError, UsageError
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Phase, Setup, Shape, Trace
from vggprof.tracing.device import move_to_device, order_changes
from vggprof.tracing.loop import STEPS, trace_workload, traced
from vggprof.tracing.optimizers import OptimizerChoice, make_optimizer
from vggprof.tracing.session import Session
from vggprof.tracing.tensors import tensors_in
from vggprof.tracing.workload import LabelShapeError, Workload, cross_entropy

# Called with the module, the optimizer and the inputs; does whatever one training step does.
Step: TypeAlias = Callable[..., object]


@dataclass(frozen=True, slots=True)
class LiveLoop:
    """How a live module is run; what is not given is the reference loop's.

    *loss* gets the module's output and the targets and gives a scalar; without one it is cross entropy with
    labels that fit. *step* gets the module, the optimizer and the inputs and does a whole training step.
    *optimizer* is a name or a function from parameters to a torch optimizer.
    """

    targets: tuple[Any, ...] = ()
    loss: Callable[..., Tensor] | None = None
    step: Step | None = None
    optimizer: OptimizerChoice = Optimizer.MOMENTUM
    mode: Mode = Mode.TRAIN
    amp: Amp = Amp.OFF
    steps: int = STEPS


def trace_module(module: nn.Module, inputs: tuple[Any, ...], how: LiveLoop) -> Trace:
    """Trace *module* on *inputs*, its positional arguments; nothing of it is copied, run or changed.

    While it is traced the module holds meta stand-ins for its parameters and buffers. The batch is the first
    tensor's first axis. Raises ArchError where it cannot run, naming the layer and what came in.
    """
    if how.step is not None and how.amp is not Amp.OFF:
        raise UsageError("a step of one's own casts and scales by itself; amp is for the loop that is ours")
    first = next(tensors_in(inputs), None)
    batch = first.shape[0] if first is not None and first.dim() else 1
    named = how.optimizer if isinstance(how.optimizer, Optimizer) else Optimizer.CUSTOM
    setup = Setup(
        batch=batch,
        mode=how.mode,
        optimizer=named,
        dtype=_dtype(module, how),
        amp=how.amp,
        layout=_layout(module),
    )
    workload = Workload(inputs, how.targets, how.loss or cross_entropy, how.optimizer, how.steps)
    arch = type(module).__name__
    with on_meta(module):
        module.train(setup.training)
        if how.step is not None:
            return traced(module, setup, _OwnStep(how.step, workload, setup), arch=arch)
        if how.loss is not None or how.targets:
            return _trace_given(module, workload, setup, arch=arch)
        labels: Shape = (batch,)
        try:
            return trace_workload(module, _labelled(workload, labels), setup, arch=arch)
        except LabelShapeError as other:
            labels = other.shape
        return trace_workload(module, _labelled(workload, labels), setup, arch=arch)


def _dtype(module: nn.Module, how: LiveLoop) -> Dtype:
    """Return the dtype of *module*'s weights, as far as a setup has a word for it."""
    dtypes = {parameter.dtype for parameter in module.parameters()}
    if dtypes <= {torch.float32}:
        return Dtype.FP32
    named = how.mode is Mode.INFER and how.amp is Amp.OFF and dtypes == {torch.float16}
    return Dtype.FP16 if named else Dtype.CUSTOM


def _layout(module: nn.Module) -> Layout:
    """Return channels_last for a *module* that has weights in that order."""
    ordered = any(order_changes(parameter) for parameter in module.parameters())
    return Layout.CHANNELS_LAST if ordered else Layout.CONTIGUOUS


def images(batch: int, shape: Shape) -> Tensor:
    """Return a batch of images of *shape*, without the batch; as all of a trace they have no content."""
    return torch.empty((batch, *shape), device="meta")


def _trace_given(module: nn.Module, workload: Workload, setup: Setup, *, arch: str) -> Trace:
    try:
        return trace_workload(module, workload, setup, arch=arch)
    except LabelShapeError as other:
        raise ArchError(
            f"{arch}: the logits want targets of shape {other.shape} for cross entropy"
        ) from other


def _labelled(workload: Workload, shape: Shape) -> Workload:
    return replace(workload, targets=(torch.empty(shape, dtype=torch.int64, device="meta"),))


@dataclass(frozen=True, slots=True)
class _OwnStep:
    """A loop around the user's own step, whose phases show in what it does."""

    step: Step
    workload: Workload
    setup: Setup

    def __call__(self, session: Session) -> None:
        with session.phase(Phase.MODEL):
            move_to_device(session, halved=False)
            optimizer = make_optimizer(self.workload.optimizer, session.module.parameters())
        for number in range(self.workload.steps):
            with session.phase(Phase.INPUT, number):
                session.arrive(self.workload)
            with session.own_phases():
                session.autocast.begin()
                self.step(session.module, optimizer, *session.inputs)
                session.autocast.end()
        session.recorder.close()


@contextmanager
def on_meta(module: nn.Module) -> Iterator[None]:
    """Let *module* hold meta stand-ins for its tensors, and have everything back as it was afterwards.

    What the module's own code writes into its attributes meanwhile is undone as well.
    """
    before = [(part, dict(part.__dict__)) for part in module.modules()]
    stand_ins: dict[int, Any] = {}
    for part, attributes in before:
        for name, value in attributes.items():
            if isinstance(value, dict | list | set):
                part.__dict__[name] = copy(value)  # what the module writes in there goes with the copy
        for table in ("_parameters", "_buffers"):
            part.__dict__[table] = dict(_stand_ins(attributes[table].items(), stand_ins))
    try:
        yield
    finally:
        for part, attributes in before:
            part.__dict__.clear()
            part.__dict__.update(attributes)


def _stand_ins(
    tensors: Iterable[tuple[str, Tensor | None]], made: dict[int, Any]
) -> Iterator[tuple[str, Tensor | None]]:
    """Yield a stand-in for each tensor; one that is shared has one stand-in."""
    for name, tensor in tensors:
        if tensor is None:
            yield name, None
            continue
        if id(tensor) not in made:
            bare = torch.empty_like(tensor, device="meta", requires_grad=False)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if is_parameter else bare
        yield name, made[id(tensor)]
