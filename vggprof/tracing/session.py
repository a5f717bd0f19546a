"""One tracing: the modes and hooks that listen while a loop runs, and the trace that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.optim import Optimizer as TorchOptimizer

from vggprof.trace import Amp, Kind, Parameter, Phase, Setup, Storage, Trace
from vggprof.tracing.autocast import Autocast
from vggprof.tracing.cuda_way import CudaWay
from vggprof.tracing.layers import LayerLog
from vggprof.tracing.recorder import Birth, Recorder
from vggprof.tracing.tensors import dtype_name, tensors_in

# Phases in which the network's own code can run; optimizers take the CUDA way by themselves.
_IN_PYTHON = frozenset({Phase.FORWARD, Phase.LOSS, Phase.BACKWARD})

_AMP_DTYPE = {Amp.OFF: None, Amp.FP16: torch.float16, Amp.BF16: torch.bfloat16}


class Session:
    """Listens to a loop that runs *module*, and knows afterwards what every storage was for."""

    def __init__(self, module: nn.Module, amp: Amp = Amp.OFF) -> None:
        self.module = module
        self.log = LayerLog(module)
        self.autocast = Autocast(_AMP_DTYPE[amp])
        self.recorder = Recorder(self.log.current)
        self._way = CudaWay(self.log, self.autocast)
        self._kinds: dict[int, Kind] = {}
        self._state: list[Parameter] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the loop runs; what dies with the loop is not the loop's any more."""
        try:
            with self.log.listening(), self.recorder:
                yield
        finally:
            self.recorder.close()

    @contextmanager
    def phase(self, phase: Phase, step: int | None = None) -> Iterator[None]:
        """Run a phase, whose mark is set at its end; a step begins with its input."""
        self.recorder.phase = phase
        if step is not None:
            self.recorder.step = step
            self.log.new_step()
        with self._way if phase in _IN_PYTHON else nullcontext():
            yield
        self._note_gradients()
        self.recorder.mark(phase)

    def note(self, value: object, kind: Kind) -> None:
        """Say that the storages of all tensors in *value* are of *kind*."""
        for tensor in tensors_in(value):
            if tensor.is_meta:
                self._kinds.setdefault(self.recorder.storage(tensor), kind)

    def note_optimizer(self, optimizer: TorchOptimizer) -> None:
        """Say that whatever *optimizer* keeps is optimizer state."""
        for state in optimizer.state.values():
            self.note(state, Kind.OPTIMIZER)

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

    def _note_gradients(self) -> None:
        if self.recorder.phase in (Phase.BACKWARD, Phase.OPTIMIZER):
            self.note([parameter.grad for parameter in self.module.parameters()], Kind.GRADIENT)

    def trace(self, arch: str, setup: Setup) -> Trace:
        """Return what was recorded."""
        owners = self._owners()
        return Trace(
            arch=arch,
            setup=setup,
            torch_version=torch.__version__,
            layers=self.log.layers(),
            parameters=tuple(self._state),
            storages=tuple(
                Storage(birth.nbytes, self._kind(i, birth), owners.get(i, birth.layer), birth.operator)
                for i, birth in enumerate(self.recorder.births)
            ),
            operators=tuple(self.recorder.operators),
            events=tuple(self.recorder.events),
        )

    def _owners(self) -> dict[int, int | None]:
        """For each parameter's storage the layer that reads it first."""
        registered = {parameter.storage for parameter in self._state}
        owners: dict[int, int | None] = {}
        for operator in self.recorder.operators:
            for operand in operator.inputs:
                if operand.storage in registered:
                    owners.setdefault(operand.storage, operator.layer)
        return owners

    def _kind(self, storage: int, birth: Birth) -> Kind:
        born_forward = birth.phase in (Phase.FORWARD, Phase.LOSS)
        return self._kinds.get(storage, Kind.ACTIVATION if born_forward else Kind.TEMPORARY)
