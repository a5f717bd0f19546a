"""Autocast on meta tensors: torch's own switches itself off where there is no GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vggprof.tracing.tensors import tensors_in


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# CUDA's lists, by the names that Python calls the functions by: AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32,
# AT_FORALL_FP32_SET_OPT_DTYPE and AT_FORALL_PROMOTE in aten/src/ATen/autocast_mode.h; also documented in
# "Autocast Op Reference", docs/source/amp.md.
_LOWER = _names("""
    conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution
    prelu addmm addmv addr matmul __matmul__ __rmatmul__ einsum mm mv linalg_vecdot vecdot linear addbmm
    baddbmm bmm chain_matmul linalg_multi_dot multi_dot scaled_dot_product_attention
""")
_FP32 = _names("""
    acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __pow__ __rpow__
    softplus layer_norm native_layer_norm rms_norm group_norm frobenius_norm nuclear_norm cosine_similarity
    poisson_nll_loss cosine_embedding_loss nll_loss hinge_embedding_loss kl_div l1_loss smooth_l1_loss
    huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss
    multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp interpolate upsample
    vector_norm matrix_norm norm
""")
# They are told to compute in fp32 instead, and cast inside their kernels; softmax is in `cuda_way`.
_FP32_INSIDE = _names("prod cumprod cumsum sum")
_PROMOTE = _names("""
    addcdiv addcmul atan2 bilinear cross dot vdot grid_sample grid_sampler index_put tensordot scatter_add
    cat concat concatenate stack
""")


class Autocast:
    """The casts of one autocast region: which arguments, to what, and the cached copies of the weights."""

    def __init__(self, dtype: torch.dtype | None) -> None:
        self.dtype = dtype
        self.enabled = False
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}  # kept until the region ends, as torch keeps them

    def begin(self) -> None:
        """Cast from here on."""
        self.enabled = self.dtype is not None

    def pause(self) -> None:
        """Cast no more, but keep the weight copies: the region may go on."""
        self.enabled = False

    @property
    def paused(self) -> bool:
        """Whether weight copies are kept though nothing is cast."""
        return bool(self._copies) and not self.enabled

    def end(self) -> None:
        """Cast no more; weight copies die, unless the backward pass needs them."""
        self.enabled = False
        self._copies.clear()

    def cast(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the arguments as autocast would hand them to *func*."""
        name = getattr(func, "__name__", "")
        if name in _FP32_INSIDE and any(map(_eligible, tensors_in(args[:1]))):
            return args, {**kwargs, "dtype": kwargs.get("dtype") or torch.float32}
        dtype = self._target(name, args)
        if dtype is None:
            return args, kwargs
        cast_args = tuple(self._cast(value, dtype) for value in args)
        return cast_args, {name: self._cast(value, dtype) for name, value in kwargs.items()}

    def _target(self, name: str, args: tuple[Any, ...]) -> torch.dtype | None:
        if name in _LOWER:
            return self.dtype
        if name in _FP32:
            return torch.float32
        if name in _PROMOTE and any(tensor.dtype is torch.float32 for tensor in tensors_in(args)):
            return torch.float32
        return None

    def _cast(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, Tensor):
            return self._cast_tensor(value, dtype) if _eligible(value) else value
        if type(value) in (list, tuple):
            return type(value)(self._cast(item, dtype) for item in value)
        return value

    def _cast_tensor(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """Copy *tensor* to *dtype*; copies of fp32 leaves that want gradients are made once (cached_cast)."""
        if tensor.dtype is dtype:
            return tensor
        cacheable = dtype is self.dtype and tensor.dtype is torch.float32
        if not (cacheable and tensor.requires_grad and tensor.is_leaf and not tensor._is_view()):
            return tensor.to(dtype)
        if id(tensor) not in self._copies:
            self._copies[id(tensor)] = tensor, tensor.to(dtype)
        return self._copies[id(tensor)][1]


def _eligible(tensor: Tensor) -> bool:
    """Floating, not float64, on the device: is_eligible in autocast_mode.h."""
    return tensor.is_meta and tensor.is_floating_point() and tensor.dtype is not torch.float64
