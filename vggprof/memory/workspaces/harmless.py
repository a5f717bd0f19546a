"""Operators that take no memory on CUDA besides their outputs."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Elementwise: one pass of TensorIterator, which casts, broadcasts and follows strides inside its kernel.
_ELEMENTWISE = _words("""
    _to_copy abs add addcdiv addcmul bernoulli ceil clamp clamp_max clamp_min clone copy cos
    cosh div elu elu_backward eq erf exp expm1 fill floor ge gelu gelu_backward glu gt
    hardsigmoid hardsigmoid_backward hardswish hardswish_backward hardtanh hardtanh_backward
    isfinite isinf isnan le leaky_relu leaky_relu_backward lerp log log1p logical_and
    logical_not logical_or lt masked_fill maximum minimum mish mish_backward mul
    native_dropout_backward ne neg normal pow random reciprocal relu remainder round rsqrt rsub
    sgn sigmoid sigmoid_backward sign silu silu_backward sin softplus softplus_backward sqrt
    square sub tanh tanh_backward threshold threshold_backward trunc uniform where zero
""")
# Views, and new tensors.
_NO_KERNEL = _words("""
    _reshape_alias _unsafe_view alias arange as_strided detach diagonal empty empty_like
    empty_strided expand eye full full_like lift_fresh movedim narrow new_empty
    new_empty_strided new_full new_ones new_zeros ones ones_like permute rand randn
    scalar_tensor select slice split split_with_sizes squeeze t transpose unbind unfold
    unsqueeze view zeros zeros_like
""")
# Kernels of their own that read inputs as they lie and write outputs.
_PLAIN_KERNELS = _words("""
    _amp_foreach_non_finite_check_and_unscale _amp_update_scale _fused_adam _fused_adamw
    _fused_sgd cat channel_shuffle constant_pad_nd embedding flip gather nll_loss_backward
    nll_loss_forward pixel_shuffle pixel_unshuffle roll select_backward slice_backward stack
    upsample_bilinear2d upsample_bilinear2d_backward upsample_nearest2d
    upsample_nearest2d_backward
""")

HARMLESS = _ELEMENTWISE | _NO_KERNEL | _PLAIN_KERNELS
