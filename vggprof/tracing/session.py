"""One tracing: the modes and hooks that listen while a loop runs, and the trace that comes out."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from vggprof.trace import Amp, Born, Event, Freed, Kind, Operator, Parameter, Phase, Setup, Storage, Trace
from vggprof.tracing.accumulation import in_place
from vggprof.tracing.autocast import Autocast
from vggprof.tracing.cuda_way import CudaWay
from vggprof.tracing.layers import LayerLog
from vggprof.tracing.optimizers import MetaGradScaler
from vggprof.tracing.recorder import Birth, Recorder
from vggprof.tracing.tensors import dtype_name, tensors_in
from vggprof.tracing.workload import Workload, arrive

# Phases in which the network's own code runs; the backward pass comes to it only to recompute.
_IN_PYTHON = frozenset({Phase.FORWARD, Phase.LOSS})

_AMP_DTYPE = {Amp.OFF: None, Amp.FP16: torch.float16, Amp.BF16: torch.bfloat16}


class Session:
    """Listens to a loop that runs *module*, and knows afterwards what every storage was for."""

    def __init__(self, module: nn.Module, amp: Amp = Amp.OFF) -> None:
        self.module = module
        self.log = LayerLog(module)
        self.autocast = Autocast(_AMP_DTYPE[amp])
        self.recorder = Recorder(self._layer)
        self._in_optimizer = False
        self._forward_ran = False
        self._recomputing: nn.Module | None = None
        self._way = CudaWay(self.log, self.autocast)
        self._batch: list[Any] = []
        self._inputs = 0
        self._kinds: dict[int, Kind] = {}
        self._state: list[Parameter] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the loop runs; what dies with the loop is not the loop's any more."""
        hooks = [
            register_optimizer_step_pre_hook(self._optimizer_begins),
            register_optimizer_step_post_hook(self._optimizer_ended),
            register_module_forward_pre_hook(self._module_begins),
            register_module_forward_hook(self._module_ended, always_call=True),
        ]
        collects = gc.isenabled()
        gc.disable()  # deaths come from the last reference alone, and thousands of values cost no collections
        try:
            with self.log.listening(), self.recorder:
                yield
        finally:
            self.recorder.close()
            if collects:
                gc.enable()
            for hook in hooks:
                hook.remove()

    @contextmanager
    def phase(self, phase: Phase, step: int | None = None) -> Iterator[None]:
        """Run a phase, whose mark is set at its end; a step begins with its input."""
        self.recorder.phase = phase
        if step is not None:
            self.recorder.step = step
            self.log.new_step()
        with self._way if phase in _IN_PYTHON else nullcontext():
            yield
        if phase is Phase.BACKWARD:
            self._note_gradients()
        self.recorder.mark(phase)

    @contextmanager
    def own_phases(self) -> Iterator[None]:
        """Run a step that the user wrote; its phases, and their marks, follow from what it runs."""
        self.recorder.phase = Phase.FORWARD
        self.recorder.phase_of = self._phase
        self._forward_ran = False
        with self._way:
            yield
        self._note_gradients()
        self.recorder.phase_of = None
        self.recorder.mark(self.recorder.phase)

    def _phase(self) -> Phase:
        if torch._C._current_autograd_node() is not None:
            return Phase.BACKWARD
        if self._in_optimizer:
            return Phase.OPTIMIZER
        self._forward_ran = self._forward_ran or self.log.inside
        return Phase.FORWARD if self.log.inside or not self._forward_ran else Phase.LOSS

    def arrive(self, workload: Workload) -> None:
        """Let a new step's inputs and targets arrive, each in the place of the last one, which then dies."""
        templates = (*workload.inputs, *workload.targets)
        self._batch = self._batch or [None] * len(templates)
        for place, template in enumerate(templates):
            self._batch[place] = arrive(self.recorder, template)
        self._inputs = len(workload.inputs)
        self._note(self._batch, Kind.INPUT)

    @property
    def inputs(self) -> list[Any]:
        """This step's inputs."""
        return self._batch[: self._inputs]

    @property
    def targets(self) -> list[Any]:
        """This step's targets."""
        return self._batch[self._inputs :]

    def note_scaler(self, scaler: MetaGradScaler) -> None:
        """Say that what *scaler* keeps is optimizer state."""
        self._note((scaler._scale, scaler._growth_tracker), Kind.OPTIMIZER)

    def note_module(self) -> None:
        """List the module's parameters and buffers, which are on the device now."""
        parameters = ((name, tensor, False) for name, tensor in self.module.named_parameters())
        buffers = ((name, tensor, True) for name, tensor in self.module.named_buffers())
        for name, tensor, buffer in (*parameters, *buffers):
            storage = self.recorder.storage(tensor)
            self._kinds[storage] = Kind.BUFFER if buffer else Kind.PARAMETER
            self._state.append(
                Parameter(
                    name=name,
                    shape=tuple(tensor.shape),
                    dtype=dtype_name(tensor.dtype),
                    storage=storage,
                    trainable=tensor.requires_grad,
                    buffer=buffer,
                )
            )

    def _note(self, value: object, kind: Kind) -> None:
        for tensor in tensors_in(value):
            if tensor.is_meta:
                self._kinds.setdefault(self.recorder.storage(tensor), kind)

    def _note_gradients(self) -> None:
        self._note([parameter.grad for parameter in self.module.parameters()], Kind.GRADIENT)

    def _module_begins(self, module: nn.Module, *_: object) -> None:
        """Take the CUDA way in recomputations too: the autograd engine runs them without function modes."""
        if self._recomputing is None and torch._C._current_autograd_node() is not None:
            self._recomputing = module
            self._way.__enter__()  # type: ignore[no-untyped-call]
            self.autocast.begin()

    def _module_ended(self, module: nn.Module, *_: object) -> None:
        if module is self._recomputing:
            self._recomputing = None
            self._way.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self.autocast.pause()

    def _layer(self) -> int | None:
        """Layer that runs; where it is autograd's own turn again, a recomputation's autocast region ends."""
        if self.autocast.paused and not self.log.inside:
            self.autocast.end()
        return self.log.current()

    def _optimizer_begins(self, optimizer: TorchOptimizer, *_: object) -> None:
        self._in_optimizer = True
        self._note_gradients()

    def _optimizer_ended(self, optimizer: TorchOptimizer, *_: object) -> None:
        self._in_optimizer = False
        for state in optimizer.state.values():
            self._note(state, Kind.OPTIMIZER)

    def trace(self, arch: str, setup: Setup) -> Trace:
        """Return what was recorded, with the engine's sums in place as on CUDA."""
        recorder = self.recorder
        births = recorder.births
        sizes = [birth.nbytes for birth in births]
        made = in_place(recorder.events, recorder.operators, recorder.nodes, sizes)
        for gone, home in made.home.items():
            if gone in self._kinds:
                self._kinds.setdefault(home, self._kinds[gone])
        kept = [number for number in range(len(births)) if number not in made.home]
        place = {number: at for at, number in enumerate(kept)}
        operators = tuple(_renumbered(op, place) for op in made.operators)
        state = tuple(replace(parameter, storage=place[parameter.storage]) for parameter in self._state)
        owners = _owners(operators, {parameter.storage for parameter in state})
        return Trace(
            arch=arch,
            setup=setup,
            torch_version=torch.__version__,
            layers=self.log.layers(),
            parameters=state,
            storages=tuple(
                Storage(
                    births[number].nbytes,
                    self._kind(number, births[number]),
                    owners.get(at, births[number].layer),
                    births[number].operator,
                )
                for at, number in enumerate(kept)
            ),
            operators=operators,
            events=tuple(_renumbered_event(event, place) for event in made.events),
        )

    def _kind(self, storage: int, birth: Birth) -> Kind:
        born_forward = birth.phase in (Phase.FORWARD, Phase.LOSS)
        return self._kinds.get(storage, Kind.ACTIVATION if born_forward else Kind.TEMPORARY)


def _owners(operators: Sequence[Operator], registered: set[int]) -> dict[int, int]:
    """For each registered storage the layer that reads it first."""
    owners: dict[int, int] = {}
    for operator in operators:
        if operator.layer is not None:
            for operand in operator.inputs:
                if operand.storage in registered:
                    owners.setdefault(operand.storage, operator.layer)
    return owners


def _renumbered(operator: Operator, place: Mapping[int, int]) -> Operator:
    operands = (*operator.inputs, *operator.outputs)
    if all(place[operand.storage] == operand.storage for operand in operands):
        return operator
    inputs, outputs = (
        tuple(replace(operand, storage=place[operand.storage]) for operand in side)
        for side in (operator.inputs, operator.outputs)
    )
    return replace(operator, inputs=inputs, outputs=outputs)


def _renumbered_event(event: Event, place: Mapping[int, int]) -> Event:
    match event:
        case Born(storage):
            return Born(place[storage])
        case Freed(storage):
            return Freed(place[storage])
        case _:
            return event
