"""torch's answers about shapes, remembered: the second and third step ask what the first asked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vggprof.trace import Operand
from vggprof.tracing.tensors import tensors_in

# Gives the result of a call anew, without asking torch for shapes and strides.
_Recipe: TypeAlias = Callable[[tuple[Any, ...]], Any]


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
