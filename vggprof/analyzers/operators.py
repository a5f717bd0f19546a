"""What kind of work each aten operator does, by name: the one table that counting and fields both read.

Torch has some 1,500 operators and gets more; this table is closed and says what it does not know by leaving
it out. An operator in none of these groups and without a rule of its own ends in a ledger.
"""

from functools import cache


@cache
def packet(name: str) -> str:
    """Return what an operator is called without namespace and overload: ``relu_`` of ``aten.relu_.default``.

    Operators of other namespaces keep theirs (``torchvision.nms``), so that they match no rule by accident.
    """
    namespace, _, rest = name.partition(".")
    bare = rest.partition(".")[0]
    return bare if namespace == "aten" else f"{namespace}.{bare}"


@cache
def base(name: str) -> str:
    """Return `packet` without in-place and foreach forms: ``relu`` for ``relu_`` and ``_foreach_relu_``."""
    bare = packet(name).removeprefix("_foreach_")
    return bare if bare.startswith("__") else bare.rstrip("_")


@cache
def writes_in_place(name: str) -> bool:
    """Whether the operator changes an argument and gives it back: its name ends in an underscore."""
    bare = packet(name)
    return bare.endswith("_") and not bare.startswith("__")


def names(text: str) -> frozenset[str]:
    """Return the words of *text*."""
    return frozenset(text.split())


# One output number from the input numbers at the same place. From torch.Tag.pointwise
# (aten/src/ATen/native/native_functions.yaml), and what is pointwise without bearing the tag.
POINTWISE = names("""
    __lshift__ __rshift__ __and__ __or__ __xor__ _conj_physical abs acos acosh add addcdiv addcmul angle
    asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
    bitwise_xor ceil celu clamp clamp_max clamp_min clip conj_physical copysign cos cosh deg2rad digamma
    div elu eq equal erf erfc erfinv exp exp2 expm1 float_power floor floor_divide fmax fmin fmod frac ge
    gelu glu gt hardshrink hardsigmoid hardswish hardtanh heaviside hypot isfinite isinf isnan isneginf
    isposinf ldexp le leaky_relu lerp lgamma log log10 log1p log2 log_sigmoid_forward logaddexp logaddexp2
    logical_and logical_not logical_or logical_xor logit lt masked_fill maximum minimum mish mul
    nan_to_num native_dropout ne neg nextafter positive pow _prelu_kernel rad2deg reciprocal relu relu6
    remainder round rrelu_with_noise rsqrt rsub selu sgn sigmoid sign signbit silu sin sinc sinh softplus
    softshrink sqrt square sub tan tanh threshold true_divide trunc where xlogy
""")

# Statistics over some axes, then one step at each place.
NORMALIZATION = names("""
    _batch_norm_no_update _batch_norm_with_update _fused_rms_norm _native_batch_norm_legit
    _native_batch_norm_legit_no_training batch_norm_elemt batch_norm_gather_stats_with_counts
    batch_norm_stats batch_norm_update_stats cudnn_batch_norm native_batch_norm native_group_norm
    native_layer_norm _weight_norm_interface
""")

POOLING = names("""
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
    fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool1d_with_indices max_pool2d
    max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d
""")

# Pixels moved, repeated or interpolated.
RESAMPLING = names("""
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d affine_grid_generator channel_shuffle col2im constant_pad_nd flip
    grid_sampler_2d grid_sampler_3d im2col native_channel_shuffle pixel_shuffle pixel_unshuffle
    reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d roll upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
    upsample_nearest2d upsample_nearest3d upsample_trilinear3d
""")

REDUCTION = names("""
    all amax amin aminmax any argmax argmin count_nonzero linalg_vector_norm logsumexp max mean median min
    nansum norm norm_except_dim prod std std_mean sum var var_mean
""")

SOFTMAX = names("_log_softmax _safe_softmax _softmax")

# The same numbers again, in other memory.
COPY = names("_copy_from _to_copy cat clone contiguous copy lift_fresh_copy repeat repeat_interleave stack")

# Memory whose content does not come from the tensors given.
FACTORY = names("""
    arange bernoulli empty empty_like empty_permuted empty_strided exponential eye fill full full_like
    geometric lift_fresh linspace new_empty new_empty_strided new_full new_ones new_zeros normal ones
    ones_like rand rand_like randint randint_like randn randn_like randperm random scalar_tensor
    tril_indices uniform zero zeros zeros_like
""")

# Memory set aside and not written.
ALLOCATION = names("empty empty_like empty_permuted empty_strided new_empty new_empty_strided")

# Numbers picked or put by index, order or mask.
LOOKUP = names("""
    _index_put_impl _unsafe_index _unsafe_index_put bincount bucketize cummax cummin cumprod cumsum
    diagonal_scatter embedding gather index index_add index_copy index_fill index_put index_select
    logcumsumexp masked_scatter masked_select multinomial nonzero one_hot scatter scatter_add
    scatter_reduce searchsorted select_scatter slice_scatter sort topk tril triu
""")

# Another look at the same memory.
VIEW = names("""
    _reshape_alias _unsafe_view alias as_strided broadcast_to chunk detach diagonal expand expand_as
    flatten lift movedim narrow permute ravel real reshape reshape_as select slice split split_with_sizes
    squeeze swapaxes t tensor_split transpose unbind unflatten unfold unsafe_chunk unsafe_split
    unsafe_split_with_sizes unsqueeze view view_as view_as_complex view_as_real
""")

LOSS = names("""
    binary_cross_entropy binary_cross_entropy_with_logits cross_entropy_loss hinge_embedding_loss
    huber_loss kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss
    multilabel_margin_loss_forward nll_loss nll_loss2d_forward nll_loss_forward smooth_l1_loss
    soft_margin_loss
""")

# Gradients of the above.
BACKWARD = names("""
    _adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward _fused_rms_norm_backward
    _log_softmax_backward_data _prelu_kernel_backward _softmax_backward_data
    _upsample_bicubic2d_aa_backward _upsample_bilinear2d_aa_backward _upsample_nearest_exact1d_backward
    _upsample_nearest_exact2d_backward _upsample_nearest_exact3d_backward _weight_norm_interface_backward
    adaptive_max_pool2d_backward adaptive_max_pool3d_backward avg_pool2d_backward avg_pool3d_backward
    batch_norm_backward batch_norm_backward_elemt batch_norm_backward_reduce binary_cross_entropy_backward
    cudnn_batch_norm_backward cummaxmin_backward diagonal_backward elu_backward embedding_dense_backward
    gelu_backward glu_backward grid_sampler_2d_backward grid_sampler_3d_backward hardshrink_backward
    hardsigmoid_backward hardswish_backward hardtanh_backward huber_loss_backward leaky_relu_backward
    log_sigmoid_backward logit_backward max_pool2d_with_indices_backward max_pool3d_with_indices_backward
    mish_backward mse_loss_backward multi_margin_loss_backward multilabel_margin_loss_backward
    native_batch_norm_backward native_dropout_backward native_group_norm_backward
    native_layer_norm_backward nll_loss2d_backward nll_loss_backward reflection_pad1d_backward
    reflection_pad2d_backward reflection_pad3d_backward replication_pad1d_backward
    replication_pad2d_backward replication_pad3d_backward rrelu_with_noise_backward select_backward
    sigmoid_backward silu_backward slice_backward smooth_l1_loss_backward softplus_backward
    softshrink_backward tanh_backward threshold_backward unfold_backward upsample_bicubic2d_backward
    upsample_bilinear2d_backward upsample_linear1d_backward upsample_nearest1d_backward
    upsample_nearest2d_backward upsample_nearest3d_backward upsample_trilinear3d_backward
    value_selecting_reduction_backward
""")

# Optimizers' fused steps and the GradScaler's bookkeeping; their foreach forms are pointwise.
OPTIMIZER = names("""
    _amp_foreach_non_finite_check_and_unscale _amp_update_scale _fused_adagrad _fused_adam _fused_adamw
    _fused_sgd _local_scalar_dense is_nonzero item
""")

# Convention: multiply-accumulates are those of convolutions and matrix products. Bias, activations, pooling,
# normalization, interpolation, losses and the optimizer are work too, but are not counted as MACs here.
WITHOUT_MACS = frozenset().union(
    *(POINTWISE, NORMALIZATION, POOLING, RESAMPLING, REDUCTION, SOFTMAX, COPY),
    *(FACTORY, LOOKUP, VIEW, LOSS, BACKWARD, OPTIMIZER),
)
