"""Which layer is running: module calls through hooks, functions of containers through the function mode."""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from vggprof.trace import Layer, Shape
from vggprof.tracing.tensors import shape_of, shapes_of


@dataclass(slots=True)
class _Call:
    """A module call or a container's function call in flight."""

    path: str
    op: str
    input_shapes: tuple[Shape, ...]
    training: bool
    container: bool  # its functions and children are layers of their own
    first_node: int  # autograd nodes made from here on are this call's, but for its children's
    output_shape: Shape | None = None
    layer: int | None = None  # known once an operator ran in it


class LayerLog:
    """Knows at every moment whose code runs, and lists the layers in the order in which they first ran.

    A layer is one call of a module without children, or one function that the network or a module with
    children calls on its own. Calls are counted anew in every step and every backward pass, so that later
    steps and recomputations (checkpointing) fall on the layers that are known.
    """

    def __init__(self, network: nn.Module) -> None:
        self._paths = {id(module): path for path, module in network.named_modules()}
        self._calls: list[_Call] = []  # a call that made a layer, in the layer's place
        self._names: dict[str, int] = {}
        self._stack: list[_Call] = []
        self._count: Counter[tuple[bool, str]] = Counter()
        self._layer_of_node: dict[int, int] = {}
        self._handled: BaseException | None = None
        self._failed: tuple[Callable[[], BaseException | None], _Call] | None = None

    def layers(self) -> tuple[Layer, ...]:
        """Every layer that ran, in order."""
        return tuple(
            Layer(name, call.path, call.op, call.input_shapes, call.output_shape, call.training)
            for name, call in zip(self._names, self._calls, strict=True)
        )

    def new_step(self) -> None:
        """Count calls from the start again."""
        self._count.clear()
        self._layer_of_node.clear()

    @property
    def inside(self) -> bool:
        """Whether the network's own code runs now."""
        return bool(self._stack)

    def current(self) -> int | None:
        """Index of the layer that the operator dispatched now belongs to; None outside the network.

        While the network's own code runs it is the innermost call's; in the backward pass it is the layer
        whose forward made the autograd node that runs.
        """
        if self._stack:
            return self._layer(self._stack[-1])
        node = torch._C._current_autograd_node()
        return None if node is None else self._layer_of_node.get(node._sequence_nr())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow the calls of the network's modules."""
        self._handled = sys.exception()
        hooks = [
            register_module_forward_pre_hook(self._module_enters),
            register_module_forward_hook(self._module_leaves, always_call=True),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def failed_at(self, error: BaseException) -> str:
        """Name the innermost call that *error* left and what came in, for a message; "" if it left none."""
        if self._failed is None or self._failed[0]() is not error:
            return ""
        call = self._failed[1]
        came_in = ", ".join("x".join(map(str, shape)) for shape in call.input_shapes) or "nothing"
        return f"layer {call.path or 'of the network itself'} ({call.op}), which got {came_in}"

    def enter_function(self, name: str, args: object) -> bool:
        """Begin a function called from Python; False where it is only a part of a childless module."""
        if not self._stack or not self._stack[-1].container:
            return False
        inside = self._stack[-1]
        path = f"{inside.path}.{name}" if inside.path else name
        self._enter(_Call(path, name, shapes_of(args), inside.training, False, _next_node()))
        return True

    def leave_function(self, result: object = None) -> None:
        """End the function begun last, by an exception maybe; it is a layer only if an operator ran in it."""
        self._leave(result)

    def _module_enters(self, module: nn.Module, args: tuple[object, ...]) -> None:
        path = self._paths.get(id(module))
        if path is not None:
            container = not path or next(module.children(), None) is not None
            op = type(module).__name__
            self._enter(_Call(path, op, shapes_of(args), module.training, container, _next_node()))

    def _module_leaves(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        if id(module) in self._paths:
            if not self._stack[-1].container and self._raised() is None:
                self._layer(
                    self._stack[-1]
                )  # a module that runs nothing, like dropout in inference, shows too
            self._leave(output)

    def _enter(self, call: _Call) -> None:
        self._stack.append(call)

    def _leave(self, result: object) -> None:
        call = self._stack.pop()
        error = self._raised()
        if error is not None and (self._failed is None or self._failed[0]() is not error):
            self._failed = _loosely(error), call
        if call.layer is not None:
            known = self._calls[call.layer]
            known.output_shape = known.output_shape or shape_of(result)
            for node in range(call.first_node, _next_node()):
                self._layer_of_node.setdefault(node, call.layer)

    def _raised(self) -> BaseException | None:
        """Return the exception that ends the call; not one that is being handled around the tracing."""
        error = sys.exception()
        return None if error is self._handled else error

    def _layer(self, call: _Call) -> int:
        if call.layer is None:
            key = (torch._C._current_autograd_node() is not None, call.path)
            self._count[key] += 1
            name = call.path or "network"
            name += f"#{self._count[key]}" if self._count[key] > 1 else ""
            call.layer = self._names.setdefault(name, len(self._calls))
            if call.layer == len(self._calls):
                self._calls.append(call)
        return call.layer


def _loosely(error: BaseException) -> Callable[[], BaseException | None]:
    """Return *error* when called, as long as others hold it: its traceback keeps tensors alive.

    A checkpoint ends its recomputation by an exception (_StopRecomputationError), which is nobody's failure.
    Errors that torch itself raises can only be held for good.
    """
    try:
        return weakref.ref(error)
    except TypeError:
        return lambda: error


def _next_node() -> int:
    """Sequence number that the next autograd node will get."""
    return torch._C._autograd._get_sequence_nr()
