"""The function mode that takes, on meta tensors, the ways that torch takes on CUDA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vggprof.tracing.autocast import Autocast
from vggprof.tracing.layers import LayerLog
from vggprof.tracing.layout import suggested_format

# Where cuDNN's batch norm ends: batch sizes and elements in _select_batch_norm_backend, Normalization.cpp.
_CUDNN_BATCH_NORM_SAMPLES = {True: 880_801, False: 65_535}  # by training
_CUDNN_BATCH_NORM_ELEMENTS = 2**31 - 1

_OPERATORS = frozenset({"add", "sub", "mul", "truediv", "floordiv", "matmul", "pow", "mod"})


class CudaWay(TorchFunctionMode):
    """Lowers functions the CUDA way and tells *log* which function a container is running."""

    def __init__(self, log: LayerLog, autocast: Autocast) -> None:
        super().__init__()
        self._log = log
        self._autocast = autocast

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call *func*, or what CUDA would call in its place."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return func(*args, **kwargs)
        inside = self._log.enter_function(_plain_name(name), args)
        try:
            result = self._lowered(func, args, kwargs)
        except BaseException:
            if inside:
                self._log.leave_function()
            raise
        if inside:
            self._log.leave_function(result)
        return result

    def _lowered(self, func: Any, args: Any, kwargs: Any) -> Any:
        rule = _RULES.get(func, func)
        if self._autocast.enabled:
            args, kwargs = self._autocast.cast(func, args, kwargs)
            rule = _AUTOCAST_RULES.get(func, rule)
        return rule(*args, **kwargs)


def _plain_name(name: str) -> str:
    """Name of a function without Python's decoration: ``__iadd__`` is add, ``relu_`` is relu."""
    bare = name.strip("_")
    return bare[1:] if bare[:1] in ("i", "r") and bare[1:] in _OPERATORS else bare


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: A002
    """Dropout; CUDA's is one kernel with a bool mask: is_fused_kernel_acceptable in Dropout.cpp."""
    if training and not inplace and 0 < p < 1 and input.is_meta and input.numel() > 0:
        return torch.native_dropout(input, p, True)[0]
    return functional.dropout(input, p, training, inplace)


def _torch_dropout(input: Tensor, p: float, train: bool) -> Tensor:  # noqa: A002
    return _dropout(input, p, train)


def _batch_norm(  # noqa: PLR0913, PLR0917 - torch's own signature
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch norm, cuDNN's where CUDA takes it."""
    if training:
        functional._verify_batch_size(input.size())  # type: ignore[attr-defined]
    statistics = running_mean, running_var
    if weight is None or bias is None or not _takes_cudnn(input, weight, statistics, training=training):
        return functional.batch_norm(input, *statistics, weight, bias, training, momentum, eps)
    input = input.contiguous(memory_format=suggested_format(input))  # noqa: A001
    return torch.cudnn_batch_norm(input, weight, bias, *statistics, training, momentum, eps)[0]


def _takes_cudnn(
    x: Tensor, weight: Tensor, statistics: tuple[Tensor | None, Tensor | None], *, training: bool
) -> bool:
    """Whether CUDA would take cuDNN's: _select_batch_norm_backend in ATen/native/Normalization.cpp."""
    known = [statistic is not None for statistic in statistics]
    dtypes = x.dtype is not torch.float16 or weight.dtype is torch.float32
    return (
        x.is_meta
        and x.dim() >= 3
        and dtypes
        and torch.bfloat16 not in (x.dtype, weight.dtype)
        and (all(known) or (training and not any(known)))
        and x.shape[0] <= _CUDNN_BATCH_NORM_SAMPLES[training]
        and x.numel() < _CUDNN_BATCH_NORM_ELEMENTS
    )


def _cross_entropy(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: A002
    """Cross entropy under autocast: log-softmax in the logits' dtype, copied to fp32 for nll_loss.

    cross_entropy_loss in ATen/native/LossNLL.cpp names log_softmax's dtype, which autocast respects; nll_loss
    is in its fp32 list. Class probabilities and label smoothing go on in the logits' dtype.
    """
    given = {name: value for name, value in kwargs.items() if value is not None}
    smoothed = given.pop("label_smoothing", 0.0)
    if (
        args
        or smoothed
        or target.is_floating_point()
        or input.dim() < 2
        or {"size_average", "reduce"} & set(given)
    ):
        return functional.cross_entropy(input, target, *args, **kwargs)
    return functional.nll_loss(functional.log_softmax(input, 1).float(), target, **given)


def _widening(kernel: Callable[..., Tensor], plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return (log-)softmax to fp32: from fp16 in one kernel, else by way of a copy (SoftMax.cpp)."""

    def widened(input: Tensor, dim: int, *args: Any, **kwargs: Any) -> Tensor:  # noqa: A002
        if input.dtype is torch.float16:
            return kernel(input, dim, True)
        return plain(input, dim, dtype=torch.float32)

    return widened


_RULES: dict[Any, Callable[..., Any]] = {
    functional.dropout: _dropout,
    torch.dropout: _torch_dropout,
    functional.batch_norm: _batch_norm,
}
_softmax = _widening(torch._softmax, torch.softmax)
_log_softmax = _widening(torch._log_softmax, torch.log_softmax)
_AUTOCAST_RULES: dict[Any, Callable[..., Any]] = {
    functional.cross_entropy: _cross_entropy,
    functional.softmax: _softmax,
    torch.softmax: _softmax,
    Tensor.softmax: _softmax,
    functional.log_softmax: _log_softmax,
    torch.log_softmax: _log_softmax,
    Tensor.log_softmax: _log_softmax,
}
