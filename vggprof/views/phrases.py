"""Phrases that several results share."""

from collections.abc import Iterator
from typing import assert_never

from vggprof.trace import Amp, Dtype, Layout, Setup, ZeroGrad
from vggprof.views.document import printable

NOT_MODELLED = (
    "Modelled are NVIDIA GPUs and eager mode; other vendors' GPUs, Apple's, and torch.compile are not."
)
TENSORS_ONLY = (
    "The peak is of tensors alone: library workspaces (cuDNN, cuBLAS), what the allocator holds back and the "
    "CUDA context come on top; `vggprof memory` says how much on which GPU."
)
CONVENTION = (
    "MACs are the multiply-accumulates of convolutions and matrix products; bias, activations, pooling and "
    "normalization count 0. FLOPs are 2 x MACs.",
    "Made are the outputs of layers in memory of their own: 0 where a layer writes in place or only gives a "
    "view. Saved is what is still alive when the forward pass ends, pooling indices and dropout masks too.",
)


def say_setup(setup: Setup) -> str:
    """Return a setup for people.

    ``batch 32, training with momentum, fp32``, ``batch 1, inference, fp16 weights, channels_last``,
    ``batch 8 x 4 accumulated, training with adam, fp32, in-place activations, backbone frozen``.
    """
    many = f" x {setup.accumulate} accumulated" if setup.accumulate > 1 else ""
    parts = [f"batch {setup.batch}{many}"]
    parts.append(f"training with {setup.optimizer.value}" if setup.training else "inference")
    parts.append(_precision(setup))
    if setup.layout is Layout.CHANNELS_LAST:
        parts.append("channels_last")
    parts += _saving(setup)
    return ", ".join(parts)


def _saving(setup: Setup) -> Iterator[str]:
    """Yield what is done to take less memory, or not done that usually is."""
    if setup.inplace:
        yield "in-place activations"
    if setup.freeze is not None:
        yield f"{' and '.join(map(printable, setup.frozen))} frozen"
    if setup.checkpoint is not None:
        yield f"{' and '.join(map(printable, setup.checkpointed))} checkpointed"
    if setup.zero_grad is ZeroGrad.ZERO:
        yield "gradients zeroed in place"


def _precision(setup: Setup) -> str:
    if setup.amp is not Amp.OFF:
        scaled = " with GradScaler" if setup.training and setup.amp is Amp.FP16 else ""
        return f"autocast to {setup.amp.value}{scaled}"
    match setup.dtype:
        case Dtype.FP32:
            return "fp32"
        case Dtype.FP16:
            return "fp16 weights"
        case Dtype.CUSTOM:
            return "weights in dtypes of its own"
        case _:
            assert_never(setup.dtype)


def plural(count: int, noun: str) -> str:
    """Return ``1 layer``, ``2 layers``, ``1,234 layers``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
