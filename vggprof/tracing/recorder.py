"""The dispatch mode that writes down operators, and the births and deaths of storages."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vggprof.trace import Argument, Born, Event, Freed, Mark, Operand, Operator, Phase, Ran
from vggprof.tracing.answers import Recipes, recipe, seen, signature
from vggprof.tracing.layout import with_cuda_layout
from vggprof.tracing.tensors import dtype_name, plain, tensors_in

# Names memory that exists already and does nothing on a device.
_SILENT = frozenset({torch.ops.aten.detach.default})

# Of all traces of this process: setups of one network, and the batches of a search, ask much the same.
_RECIPES = Recipes()


@dataclass(frozen=True, slots=True)
class Birth:
    """A storage as its birth shows it; what it is for is known at the end."""

    nbytes: int
    phase: Phase
    layer: int | None
    operator: int | None


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what runs on meta tensors while it is entered; tensors of other devices are not looked at.

    *layer_of* says which layer a call belongs to and is asked once an operator. The loop sets `step` and
    `phase` as it goes.
    """

    def __init__(self, layer_of: Callable[[], int | None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.step = 0
        self.phase = Phase.MODEL
        self.phase_of: Callable[[], Phase] | None = None  # asked before every operator, where it is set
        self.operators: list[Operator] = []
        self.nodes: list[int | None] = []  # the autograd node that ran each operator
        self.events: list[Event] = []
        self.births: list[Birth] = []
        self._layer_of = layer_of
        self._alive: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}
        self._closed = False
        self._paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run *func* and write it down."""
        kwargs = kwargs or {}
        if self._paused or func in _SILENT:
            return func(*args, **kwargs)
        inputs, arguments = self._read(func, args, kwargs)
        result = self._answer(func, args, kwargs, key=(func, signature(inputs), repr(arguments)))
        outputs = [tensor for tensor in tensors_in(result) if tensor.is_meta]
        if inputs or outputs:
            self._write(str(func), inputs, outputs, arguments)
        return result

    def _enter(self, phase: Phase) -> None:
        if phase is not self.phase:
            self.mark(self.phase)
            self.phase = phase

    def _read(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Operand], tuple[tuple[str, Argument], ...]]:
        """Return the tensors on the device, and what is no tensor at all."""
        inputs: list[Operand] = []
        arguments: list[tuple[str, Argument]] = []
        for name, value in (*zip(_argument_names(func), args, strict=False), *kwargs.items()):
            tensors = list(tensors_in(value))
            inputs.extend(self._operand(name, t, self.storage(t)) for t in tensors if t.is_meta)
            if not tensors:
                arguments.append((name, plain(value)))
        return inputs, tuple(arguments)

    def _answer(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, key: Hashable) -> Any:
        known = _RECIPES.find(key)
        if known is not None:
            return known(args)
        before = seen(args[0]) if args else None
        result = with_cuda_layout(func, args, func(*args, **kwargs))
        everywhere = all(tensor.is_meta for tensor in tensors_in((args, kwargs)))
        again = recipe(args, result, before) if everywhere and not kwargs.get("out") else None
        if again is not None:
            _RECIPES.keep(key, again)
        return result

    def _write(
        self,
        name: str,
        inputs: list[Operand],
        outputs: list[Tensor],
        arguments: tuple[tuple[str, Argument], ...],
    ) -> None:
        if self.phase_of is not None:
            self._enter(self.phase_of())
        layer, number = self._layer_of(), len(self.operators)
        self.events.append(Ran(number))
        given = tuple(self._operand("out", t, self.storage(t, layer=layer, operator=number)) for t in outputs)
        node = torch._C._current_autograd_node()
        self.nodes.append(None if node is None else node._sequence_nr())
        self.operators.append(Operator(name, self.step, self.phase, layer, tuple(inputs), given, arguments))

    @staticmethod
    def _operand(name: str, tensor: Tensor, storage: int) -> Operand:
        return Operand(name, storage, tuple(tensor.shape), tensor.stride(), dtype_name(tensor.dtype))

    def storage(self, tensor: Tensor, *, layer: int | None = None, operator: int | None = None) -> int:
        """Index of the storage of *tensor*; one that was not seen before is born now."""
        storage = tensor.untyped_storage()
        known = self._alive.get(storage._cdata)
        if known is not None:
            return known[0]
        return self.adopt(tensor, self.born(storage.nbytes(), layer=layer, operator=operator))

    def born(self, nbytes: int, *, layer: int | None = None, operator: int | None = None) -> int:
        """Write down the birth of *nbytes* in this phase and return the new storage's index."""
        self.births.append(Birth(nbytes, self.phase, layer, operator))
        self.events.append(Born(len(self.births) - 1))
        return len(self.births) - 1

    def freed(self, storage: int) -> None:
        """Write down the death of *storage*."""
        if not self._closed:
            self.events.append(Freed(storage))

    def adopt(self, tensor: Tensor, storage: int) -> int:
        """Say that *tensor* lives in *storage*, whose birth is on record; return *storage*."""
        owner = tensor.untyped_storage()
        key = owner._cdata

        def died(_: object) -> None:
            del self._alive[key]
            self.freed(storage)

        self._alive[key] = storage, weakref.ref(owner, died)
        return storage

    def arrives(self, template: Tensor) -> Tensor:
        """Return a tensor like *template* that comes from the host: born, but made by no operator here."""
        self._paused = True
        tensor = torch.empty_like(template, device="meta").requires_grad_(template.requires_grad)
        self._paused = False
        self.storage(tensor)
        return tensor

    def mark(self, phase: Phase) -> None:
        """Write down the end of *phase*."""
        self.events.append(Mark(None if phase is Phase.MODEL else self.step, phase))

    def close(self) -> None:
        """Stop writing: what dies after this is the recorder's own end, not the loop's."""
        self._closed = True


@cache
def _argument_names(func: Any) -> tuple[str, ...]:
    return tuple(argument.name for argument in func._schema.arguments)
