"""Tensors as plain values: shapes, dtypes, arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

from vggprof.trace import Argument, Shape


def tensors_in(value: object) -> Iterator[Tensor]:
    """Every tensor in *value*, through lists, tuples (named ones too) and mappings, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))


def shape_of(value: object) -> Shape | None:
    """Shape of the first tensor in *value*; None where there is none."""
    return next((tuple(tensor.shape) for tensor in tensors_in(value)), None)


def shapes_of(value: object) -> tuple[Shape, ...]:
    """Shapes of all tensors in *value*."""
    return tuple(tuple(tensor.shape) for tensor in tensors_in(value))


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """Name of *dtype* without its ``torch.``."""
    return str(dtype).removeprefix("torch.")


def plain(value: object) -> Argument:
    """Return *value* as data; what is neither number nor text becomes the text that torch prints for it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    return str(value).removeprefix("torch.")
