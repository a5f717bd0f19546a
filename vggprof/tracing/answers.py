"""torch's answers about shapes, remembered: later steps, and other traces, ask what was asked before."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vggprof.trace import Operand
from vggprof.tracing.tensors import tensors_in

# Gives the result of a call anew, without asking torch for shapes and strides.
_Recipe: TypeAlias = Callable[[tuple[Any, ...]], Any]
# Kept at most; a step of a deep network asks some thousand different ones.
_MOST = 50_000


class Recipes:
    """Recipes by what was asked, and by the dtype that torch gives where none is asked for."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Recipe] = {}

    def find(self, asked: Hashable) -> _Recipe | None:
        """Return the recipe for what was *asked*; None where there is none."""
        return self._known.get((asked, torch.get_default_dtype()))

    def keep(self, asked: Hashable, recipe: _Recipe) -> None:
        """Remember *recipe* for what was *asked*; where there are too many, all others are forgotten."""
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[asked, torch.get_default_dtype()] = recipe


def signature(operands: list[Operand]) -> Hashable:
    """All that the shapes, strides and dtypes of a call's results can depend on, of its tensors."""
    return tuple((operand.name, operand.shape, operand.strides, operand.dtype) for operand in operands)


def recipe(args: tuple[Any, ...], result: Any, before: Hashable | None) -> _Recipe | None:
    """Return how to make *result* again from arguments like *args*; None where it shares memory with them.

    *before* is what the first argument showed before the call: ``squeeze_`` and its like change that.
    """
    if result is None:
        return lambda args: None
    if args and result is args[0]:
        return None if before is None or seen(result) != before else lambda args: args[0]
    taken = {tensor.untyped_storage()._cdata for tensor in tensors_in(args)}
    if not all(_fresh(tensor, taken) for tensor in tensors_in(result)):
        return None
    if isinstance(result, Tensor):
        return _like(result)
    if not isinstance(result, (tuple, list)) or not all(t is None or isinstance(t, Tensor) for t in result):
        return None
    makers, kind = [_like(tensor) for tensor in result], type(result)
    return lambda args: kind(make(args) for make in makers)


def seen(value: Any) -> Hashable | None:
    """Return shape and strides of a tensor; None for anything else."""
    return (tuple(value.shape), value.stride()) if isinstance(value, Tensor) else None


def _like(tensor: Tensor | None) -> _Recipe:
    if tensor is None:
        return lambda args: None
    shape, strides, dtype = tensor.shape, tensor.stride(), tensor.dtype
    return lambda args: torch.empty_strided(shape, strides, dtype=dtype, device="meta")


def _fresh(tensor: Tensor, taken: set[int]) -> bool:
    """Whether *tensor* lies alone in a storage of its own that is just as large as it needs."""
    storage = tensor.untyped_storage()
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    needed = (last + 1) * tensor.element_size() if tensor.numel() else 0
    return tensor.is_meta and storage._cdata not in taken and storage.nbytes() == needed
