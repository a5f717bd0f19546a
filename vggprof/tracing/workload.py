"""What a step works on: the inputs and labels that arrive, and the loss that is taken of the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vggprof.trace import Dtype, Layout, Setup, Shape, ZeroGrad
from vggprof.tracing.optimizers import OptimizerChoice
from vggprof.tracing.recorder import Recorder
from vggprof.tracing.tensors import tensors_in


class LabelShapeError(Exception):
    """The logits want labels of another shape than has arrived."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.shape = shape


@dataclass(frozen=True, slots=True)
class Workload:
    """Inputs and targets as templates, which arrive anew in every step, and what is done with them.

    `loss` is called with what the network returns and the targets, and gives the scalar to differentiate.
    """

    inputs: tuple[Any, ...]
    targets: tuple[Any, ...]
    loss: Callable[..., Tensor]
    optimizer: OptimizerChoice
    steps: int
    accumulate: int = 1  # micro-batches a step, each of which arrives anew
    zero_grad: ZeroGrad = ZeroGrad.NONE
    halved: bool = False  # the module moves in in fp32 and is halved there


def classification(setup: Setup, input_shape: Shape, *, labels: Shape, steps: int) -> Workload:
    """Return the reference loop's workload: images of *input_shape*, class labels, cross entropy."""
    channels_last = setup.layout is Layout.CHANNELS_LAST and len(input_shape) == 3
    images = torch.empty(
        (setup.batch, *input_shape),
        dtype=torch.float16 if setup.dtype is Dtype.FP16 else torch.float32,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        device="meta",
    )
    targets = (torch.empty(labels, dtype=torch.int64, device="meta"),)
    return Workload(
        (images,),
        targets,
        cross_entropy,
        setup.optimizer,
        steps,
        accumulate=setup.accumulate,
        zero_grad=setup.zero_grad,
        halved=setup.dtype is Dtype.FP16,
    )


def cross_entropy(out: object, labels: Tensor) -> Tensor:
    """Cross entropy of the first floating tensor in *out*: batch x classes, or with pixels after them.

    Raises TypeError where the network returns no logits, LabelShapeError where they want other labels.
    """
    logits = next((tensor for tensor in tensors_in(out) if tensor.is_floating_point()), None)
    if logits is None or logits.dim() < 2:
        got = "no floating tensor" if logits is None else f"shape {tuple(logits.shape)}"
        raise TypeError(f"the network must return logits (batch x classes) for the loss; it returned {got}")
    wanted = (logits.shape[0], *logits.shape[2:])
    if wanted != tuple(labels.shape):
        raise LabelShapeError(wanted)
    return functional.cross_entropy(logits, labels)


def arrive(recorder: Recorder, template: Any) -> Any:
    """Return what arrives on the device for *template*: every tensor in it anew, the rest as it is."""
    if isinstance(template, Tensor):
        return recorder.arrives(template)
    if isinstance(template, dict):
        return {key: arrive(recorder, value) for key, value in template.items()}
    if type(template) in (list, tuple):
        return type(template)(arrive(recorder, value) for value in template)
    return template
