"""Modules that are built on meta, parameter by parameter, whatever their constructors do.

Under ``torch.device("meta")`` constructors that look at tensors fail (torchvision's regnets read their widths
with ``.tolist()``). Here a tensor is real until it becomes part of a module, and only then goes to meta: a
whole model is never in memory, and the one parameter that is, as torch.empty gives it, is never touched.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL
from threading import get_ident
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

T = TypeVar("T", bound=Tensor)

# How much is freed before the C library is asked to hand it back.
_HAND_BACK_BYTES = 128 * 2**20
_MOVES = frozenset({Tensor.to, Tensor.cpu, Tensor.cuda})
# On meta this one runs in Python (torch/_refs), and took half the time that it takes to build a DenseNet.
_SLOW_FILLS: tuple[object, ...] = (Tensor.normal_, nn.init.normal_)


class ToMeta:
    """Moves parameters and buffers to meta; a parameter that is met again is the same one there too.

    Buffers are each their own: of one that two modules share, ``module.to("cuda")`` makes two as well.
    """

    def __init__(self) -> None:
        self._moved = WeakIdKeyDictionary()
        self._freed_bytes = 0  # at most, since memory was last handed back

    def parameter(self, value: nn.Parameter) -> nn.Parameter:
        """Return *value* on meta, of the same class, strides, attributes and need of gradients."""
        if value.is_meta:
            return value
        if value not in self._moved:
            self._moved[value] = _meta_parameter(value)
            self._freed(0 if is_lazy(value) else value.nbytes)
        moved: nn.Parameter = self._moved[value]
        return moved

    def buffer(self, value: Tensor) -> Tensor:
        """Return a tensor on meta like *value*, with its strides and attributes."""
        if isinstance(value, nn.Parameter):
            return self.parameter(value)
        if is_lazy(value):
            return _without_shape(value)
        return _with_attributes(torch.empty_like(value.detach(), device="meta"), value)

    def _freed(self, nbytes: int) -> None:
        self._freed_bytes += nbytes
        if self._freed_bytes > _HAND_BACK_BYTES:
            _hand_back()
            self._freed_bytes = 0

    def rest_of(self, module: nn.Module) -> None:
        """Move what came into *module* past registration: from before, by copying, or by hand."""
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    part._parameters[name] = self.parameter(parameter)
            for name, buffer in part._buffers.items():
                if buffer is not None and not buffer.is_meta:
                    part._buffers[name] = self.buffer(buffer)


@contextmanager
def built_on_meta() -> Iterator[ToMeta]:
    """Whatever this thread registers in a module meanwhile is registered on meta, and stays there."""
    to_meta, thread = ToMeta(), get_ident()

    def hook(move: Callable[[Any], Tensor]) -> Callable[..., Any]:
        def moved(_module: nn.Module, _name: str, value: object) -> Tensor | None:
            return move(value) if isinstance(value, Tensor) and get_ident() == thread else None

        return moved

    hooks = (
        register_module_parameter_registration_hook(hook(to_meta.parameter)),
        register_module_buffer_registration_hook(hook(to_meta.buffer)),
    )
    try:
        with _Staying():
            yield to_meta
    finally:
        for registered in hooks:
            registered.remove()


class _Staying(TorchFunctionMode):
    """Leaves on meta what is moved to a device, as in ``Net().to("cuda")``: meta stands for all of them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Call *func*, or do what is left of it where it moves or fills a tensor that is on meta."""
        kwargs = kwargs or {}
        if func in _MOVES and args[0].is_meta:
            return _converted(*args, **kwargs) if func is Tensor.to else args[0]
        if func in _SLOW_FILLS:
            filled = args[0] if args else kwargs["tensor"]
            if filled.is_meta:
                return filled
        return func(*args, **kwargs)


def _converted(value: Tensor, *to: Any, copy: bool = False, **named: Any) -> Tensor:  # noqa: ANN401 - as torch
    """Return *value* in the dtype and memory format that ``value.to`` was called for."""
    _device, dtype, _non_blocking, memory_format = torch._C._nn._parse_to(*to, **named)
    return value.to(dtype or value.dtype, copy=copy, memory_format=memory_format or torch.preserve_format)


def _hand_back() -> None:
    """Have the C library give freed memory back to the system.

    glibc keeps freed blocks of up to 32 MiB (DEFAULT_MMAP_THRESHOLD_MAX in malloc/malloc.c) in its heap, and
    small ones between them keep them from being used again; others do not, and have no such function.
    """
    if sys.platform == "linux":
        trim = getattr(CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _meta_parameter(value: nn.Parameter) -> nn.Parameter:
    lazy = is_lazy(value)
    if lazy:
        return _without_shape(value)
    data = torch.empty_like(value.detach(), device="meta")
    own = issubclass(type(value), nn.Parameter)  # else a tensor of another class, marked as a parameter
    moved: nn.Parameter = data.as_subclass(type(value)) if own else nn.Parameter(data)
    moved.requires_grad = value.requires_grad
    return _with_attributes(moved, value)


def _without_shape(value: T) -> T:
    """Return a lazy module's tensor on meta; the shape that it gets one day, it gets there."""
    kind: Callable[..., T] = type(value)
    return kind(requires_grad=value.requires_grad, device="meta", dtype=value.dtype)


def _with_attributes(moved: T, value: Tensor) -> T:
    """Return *moved* with what Python code has noted on *value*."""
    vars(moved).update(vars(value))
    return moved
