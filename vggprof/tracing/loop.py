"""The reference training loop on meta tensors: what a trace is a trace of.

A plain script: the module moves to the device, then every step moves a batch in, clears the gradients, and
runs forward, loss, backward and optimizer. `x`, `y`, `out` and `loss` stay bound until they are bound again,
so the last step's are still in memory when the next step's arrive. Where gradients are accumulated, a step
moves in and runs one micro-batch after the other, and the optimizer steps once, at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vggprof.errors import ArchError, VggprofError
from vggprof.trace import Amp, Dtype, Layout, Phase, Setup, Shape, Trace, ZeroGrad
from vggprof.tracing.changes import Changes, Look, StageNames, changed, changes_of
from vggprof.tracing.device import move_to_device
from vggprof.tracing.optimizers import MetaGradScaler, make_optimizer
from vggprof.tracing.session import Session
from vggprof.tracing.stage import Stage
from vggprof.tracing.workload import LabelShapeError, Workload, classification

# Optimizer state appears in the first step, and the peak of what is reserved often comes in the second.
STEPS = 3

_NEEDED = "something that the trace does not show still needs what they take"

# Hooks of torch.optim and torch.nn hear of every thread.
_ONE_AT_A_TIME = threading.RLock()


def trace_network(  # noqa: PLR0913 - the network, how it is run, and how its parts are named
    module: nn.Module,
    input_shape: Shape,
    setup: Setup,
    *,
    arch: str,
    steps: int = STEPS,
    stages: StageNames | None = None,
) -> Trace:
    """Trace *steps* of the reference loop on *module*, which lies on meta, with samples of *input_shape*.

    *stages* names the stage of each layer of a trace; checkpoints need it. Raises ArchError where the network
    cannot run on such samples, naming the layer and what came in, and where *setup* names what is not there.
    """
    changes = network_changes(module, input_shape, setup, arch=arch, stages=stages)
    with changed(module, changes):
        try:
            return _trace_steps(module, input_shape, setup, arch=arch, steps=steps)
        except ArchError as error:
            if changes.in_place and "inplace" in str(error):
                raise ArchError(f"{arch}: its activations cannot run in place: {_NEEDED}") from error
            raise


def network_changes(
    module: nn.Module, input_shape: Shape, setup: Setup, *, arch: str, stages: StageNames | None = None
) -> Changes:
    """Return what *setup* changes in *module*, which lies on meta and is brought into its mode and layout.

    The names hold for the same network elsewhere. Raises as `trace_network`.
    """
    _prepare(module, setup, arch)
    plain = replace(setup, accumulate=1)
    inputs = classification(plain, input_shape, labels=(), steps=1).inputs
    look = Look(lambda: _trace_steps(module, input_shape, plain, arch=arch, steps=1), inputs, stages)
    return changes_of(module, setup, look)


def _trace_steps(module: nn.Module, input_shape: Shape, setup: Setup, *, arch: str, steps: int) -> Trace:
    labels: Shape = (setup.batch,)
    try:
        workload = classification(setup, input_shape, labels=labels, steps=steps)
        return trace_workload(module, workload, setup, arch=arch)
    except LabelShapeError as other:
        labels = other.shape
    workload = classification(setup, input_shape, labels=labels, steps=steps)
    return trace_workload(module, workload, setup, arch=arch)


def _prepare(module: nn.Module, setup: Setup, arch: str) -> None:
    """Bring *module* into the mode, dtype and layout of *setup*."""
    module.train(setup.training)
    if setup.dtype is Dtype.FP16:
        module.half()
    if setup.layout is Layout.CHANNELS_LAST:
        try:
            module.to(memory_format=torch.channels_last)
        except RuntimeError as error:
            raise ArchError(f"{arch}: channels_last: {str(error).splitlines()[0]}") from error


def trace_workload(module: nn.Module, workload: Workload, setup: Setup, *, arch: str) -> Trace:
    """Trace the reference loop with *workload*. Raises ArchError where it cannot run."""
    loop = _train if setup.training else _infer
    return traced(module, setup, lambda session: loop(session, setup, workload), arch=arch)


def traced(module: nn.Module, setup: Setup, loop: Callable[[Session], None], *, arch: str) -> Trace:
    """Trace *loop*, which runs *module*. Raises ArchError where it cannot run, naming the layer."""
    with _ONE_AT_A_TIME:
        return _traced(module, setup, loop, arch=arch)


def _traced(module: nn.Module, setup: Setup, loop: Callable[[Session], None], *, arch: str) -> Trace:
    session = Session(module, setup.amp)
    try:
        with session.listening():
            loop(session)
    except (VggprofError, LabelShapeError):
        raise
    except Exception as error:  # the network's own code may raise anything
        where = session.log.failed_at(error) or "the training step"
        raise ArchError(f"{arch}: {where}: {(str(error) or repr(error)).splitlines()[0]}") from error
    finally:
        module.zero_grad()
    return session.trace(arch, setup)


def _train(session: Session, setup: Setup, workload: Workload) -> None:
    with session.phase(Phase.MODEL):
        move_to_device(session, halved=workload.halved)
        optimizer = make_optimizer(workload.optimizer, trained(session.module))
        scaler = MetaGradScaler() if setup.amp is Amp.FP16 else None
    training = Training(session, workload, optimizer, scaler)
    for step in range(workload.steps):
        training.step(step)
    session.recorder.close()


def _infer(session: Session, setup: Setup, workload: Workload) -> None:
    with session.phase(Phase.MODEL):
        move_to_device(session, halved=workload.halved)
    inference = Inference(session, workload)
    for step in range(workload.steps):
        inference.step(step)
    session.recorder.close()


def trained(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of *module* that want gradients: what people give their optimizer."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


class Training:
    """The reference loop's steps on *stage*; `out` and `loss` stay bound until they are bound again."""

    def __init__(
        self,
        stage: Stage,
        workload: Workload,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        self._stage = stage
        self._workload = workload
        self._optimizer = optimizer
        self._scaler = scaler
        self.out: Any = None
        self.loss: Any = None

    def step(self, number: int) -> None:
        """Run one step: its micro-batches, then the optimizer."""
        stage, optimizer, scaler = self._stage, self._optimizer, self._scaler
        for part in range(self._workload.accumulate):
            self._accumulate(number, first=part == 0)
        with stage.phase(Phase.OPTIMIZER):
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
                stage.note_scaler(scaler)

    def _accumulate(self, number: int, *, first: bool) -> None:
        """Run a micro-batch of step *number* up to its gradients; gradients of the step before go *first*."""
        stage, scaler, workload = self._stage, self._scaler, self._workload
        with stage.phase(Phase.INPUT, number):
            stage.arrive(workload)
        with stage.phase(Phase.FORWARD):
            if first:
                self._optimizer.zero_grad(set_to_none=workload.zero_grad is ZeroGrad.NONE)
            stage.autocast.begin()
            self.out = stage.module(*stage.inputs)
        with stage.phase(Phase.LOSS):
            self.loss = workload.loss(self.out, *stage.targets)
            if workload.accumulate > 1:
                self.loss = self.loss / workload.accumulate
            stage.autocast.end()
        with stage.phase(Phase.BACKWARD):
            (scaler.scale(self.loss) if scaler else self.loss).backward()


class Inference:
    """Forward passes on *stage*; `out` stays bound until the next step's is made."""

    def __init__(self, stage: Stage, workload: Workload) -> None:
        self._stage = stage
        self._workload = workload
        self.out: Any = None

    def step(self, number: int) -> None:
        """Run one forward pass."""
        stage = self._stage
        with stage.phase(Phase.INPUT, number):
            stage.arrive(self._workload)
        with stage.phase(Phase.FORWARD), torch.no_grad():
            stage.autocast.begin()
            self.out = stage.module(*stage.inputs)
            stage.autocast.end()
