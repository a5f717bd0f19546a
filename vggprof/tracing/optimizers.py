"""Optimizers and the GradScaler as the reference loop makes them, on meta tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, assert_never, cast

import torch
from torch import nn, optim

from vggprof.errors import UsageError
from vggprof.trace import Optimizer

# A name, or a function from parameters to an optimizer.
OptimizerChoice: TypeAlias = Optimizer | Callable[[Iterable[nn.Parameter]], optim.Optimizer]


def make_optimizer(choice: OptimizerChoice, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """Return the optimizer of *choice* on *parameters*, in the foreach form that torch defaults to on CUDA.

    Raises UsageError for `Optimizer.CUSTOM`, which names no optimizer of its own.
    """
    optimizer = _named(choice, parameters) if isinstance(choice, Optimizer) else choice(parameters)
    for group in optimizer.param_groups:
        if group.get("foreach", False) is None and not group.get("fused"):
            group["foreach"] = True
    return optimizer


def _named(kind: Optimizer, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    match kind:
        case Optimizer.SGD:
            return optim.SGD(parameters, lr=1e-3)
        case Optimizer.MOMENTUM:
            return optim.SGD(parameters, lr=1e-3, momentum=0.9)
        case Optimizer.ADAM:
            return optim.Adam(parameters)
        case Optimizer.ADAMW:
            return optim.AdamW(parameters)
        case Optimizer.RMSPROP:
            return optim.RMSprop(parameters)
        case Optimizer.ADAGRAD:
            return optim.Adagrad(parameters)
        case Optimizer.CUSTOM:
            raise UsageError("a custom optimizer is a function from parameters to a torch optimizer")
        case _:
            assert_never(kind)


class MetaGradScaler(torch.amp.GradScaler):
    """torch's GradScaler on meta tensors, where no gradient is ever infinite."""

    def __init__(self) -> None:
        super().__init__("meta")

    def _maybe_opt_step(
        self, optimizer: optim.Optimizer, optimizer_state: dict[str, Any], *args: Any, **kwargs: Any
    ) -> float | None:
        return cast("float | None", optimizer.step(*args, **kwargs))
