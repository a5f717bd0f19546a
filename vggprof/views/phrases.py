"""Phrases that several results share."""

from vggprof.trace import Amp, Dtype, Layout, Setup

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

    ``batch 32, training with momentum, fp32``, ``batch 1, inference, fp16 weights, channels_last``.
    """
    parts = [f"batch {setup.batch}"]
    parts.append(f"training with {setup.optimizer.value}" if setup.training else "inference")
    parts.append(_precision(setup))
    if setup.layout is Layout.CHANNELS_LAST:
        parts.append("channels_last")
    return ", ".join(parts)


def _precision(setup: Setup) -> str:
    if setup.amp is not Amp.OFF:
        scaled = " with GradScaler" if setup.training and setup.amp is Amp.FP16 else ""
        return f"autocast to {setup.amp.value}{scaled}"
    return "fp16 weights" if setup.dtype is Dtype.FP16 else "fp32"


def plural(count: int, noun: str) -> str:
    """Return ``1 layer``, ``2 layers``, ``1,234 layers``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
