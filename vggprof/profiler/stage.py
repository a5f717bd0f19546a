"""The reference loop's stage on a real device: real weights, real images, and whoever watches the phases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vggprof.analyzers.stages import stage_names
from vggprof.measurement import Conditions, Execution
from vggprof.network.allocation import materialize
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Amp, Dtype, Layout, Phase, Trace
from vggprof.tracing.changes import changed
from vggprof.tracing.loop import Inference, Training, network_changes, trained
from vggprof.tracing.optimizers import make_optimizer
from vggprof.tracing.workload import Workload, classification

_AMP_DTYPES = {Amp.OFF: None, Amp.FP16: torch.float16, Amp.BF16: torch.bfloat16}


class Observer(Protocol):
    """Watches the phases of a loop."""

    def phase(self, phase: Phase) -> AbstractContextManager[None]:
        """Run a phase, with whatever the observer does before and after it."""


class Unwatched:
    """Watches nothing."""

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Run a phase."""
        yield


class RealCasting:
    """torch's autocast, entered and left where the loop says."""

    def __init__(self, device: str, amp: Amp) -> None:
        self._device, self._dtype = device, _AMP_DTYPES[amp]
        self._region: torch.autocast | None = None

    def begin(self) -> None:
        """Cast from here on."""
        self._region = torch.autocast(self._device, dtype=self._dtype, enabled=self._dtype is not None)
        self._region.__enter__()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Cast no more."""
        if self._region is not None:
            self._region.__exit__(None, None, None)


class RealStage:
    """Runs phases on *device*, under the eyes of `observer`.

    Random images, and labels of *classes*, arrive from the host, until `keep` says that the last ones stay.
    """

    def __init__(self, module: nn.Module, device: str, amp: Amp, *, classes: int) -> None:
        self.module = module
        self.autocast = RealCasting(device, amp)
        self.observer: Observer = Unwatched()
        self.keep = False
        self._device, self._classes = device, classes
        self._batch: list[Tensor] = []

    @property
    def inputs(self) -> list[Any]:
        """This step's images."""
        return self._batch[:1]

    @property
    def targets(self) -> list[Any]:
        """This step's labels."""
        return self._batch[1:]

    def phase(self, phase: Phase, step: int | None = None) -> AbstractContextManager[None]:
        """Run a phase."""
        return self.observer.phase(phase)

    def arrive(self, workload: Workload) -> None:
        """Bring a new batch to the device, each tensor in the place of the last one."""
        if self.keep and self._batch:
            return
        for place, template in enumerate((*workload.inputs, *workload.targets)):
            self._batch[place : place + 1] = [self._random(template).to(self._device)]

    def note_scaler(self, scaler: object) -> None:
        """Take no note: what memory is for is not told apart here."""

    def _random(self, template: Tensor) -> Tensor:
        if not template.is_floating_point():
            return torch.randint(self._classes, template.shape)
        return torch.empty_like(template, device="cpu").normal_()


@dataclass(frozen=True, slots=True)
class Loop:
    """A network on its device and the loop that runs it."""

    stage: RealStage
    steps: Training | Inference
    changes: ExitStack  # of the module, which last as long as the loop

    def step(self) -> None:
        """Run one step."""
        self.steps.step(0)

    def let_go(self) -> None:
        """Let go of the last step's output and loss, and of the autograd graph behind them."""
        self.steps.out = None
        if isinstance(self.steps, Training):
            self.steps.loss = None


def set_up(conditions: Conditions, trace: Trace, observer: Observer) -> Loop:
    """Return the reference loop for a network with fresh weights on its device.

    Moves and halves as the plain script does that is traced: first to the device, in its memory format.
    Raises ArchError for a layer that cannot be initialised, and as `vggprof.tracing.loop.network_changes`.
    """
    setup, device, arch = conditions.setup, conditions.device, parse_arch(conditions.arch)
    network, on_meta = load(arch), load(arch).module
    changes = network_changes(on_meta, network.input_shape, setup, arch=conditions.arch, stages=stage_names)
    module = materialize(network.module.train(setup.training), "cpu")
    stack = ExitStack()
    stack.enter_context(changed(module, changes))
    classes, label = _labels(trace)
    stage = RealStage(module, device, setup.amp, classes=classes)
    stage.observer = observer
    workload = classification(setup, network.input_shape, labels=(setup.batch, *label), steps=1)
    with stage.phase(Phase.MODEL):
        if setup.layout is Layout.CHANNELS_LAST:
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        module.to(device)
        if setup.dtype is Dtype.FP16:
            module.half()
        if not setup.training:
            return Loop(stage, Inference(stage, workload), stack)
        optimizer = _optimizer(module, workload, conditions)
        scaler = torch.amp.GradScaler(device) if setup.amp is Amp.FP16 else None
    return Loop(stage, Training(stage, workload, optimizer, scaler), stack)


def _optimizer(module: nn.Module, workload: Workload, conditions: Conditions) -> torch.optim.Optimizer:
    """Return the optimizer in the form that torch takes by default on the device, or needs in a graph."""
    optimizer = make_optimizer(workload.optimizer, trained(module))
    for group in optimizer.param_groups:
        if conditions.device == "cpu" and "foreach" in group:
            group["foreach"] = None
        if conditions.execution is Execution.GRAPH and "capturable" in group:
            group["capturable"] = True
    return optimizer


def _labels(trace: Trace) -> tuple[int, tuple[int, ...]]:
    """Return how many classes there are, and a label's shape, as the traced loss took them.

    Without a loss nobody reads them.
    """
    for op in trace.step_operators(0):
        logits, labels = op.input("self"), op.input("target")
        if op.phase is Phase.LOSS and logits is not None and labels is not None:
            return logits.shape[1], labels.shape[1:]
    return 1, ()
