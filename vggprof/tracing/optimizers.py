"""Optimizers and the GradScaler as the reference loop makes them, on meta tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never, cast

import torch
from torch import nn, optim

from vggprof.trace import Optimizer


def make_optimizer(kind: Optimizer, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """Return torch's optimizer with the loop's settings, in the foreach form that CUDA defaults to."""
    match kind:
        case Optimizer.SGD:
            return optim.SGD(parameters, lr=1e-3, foreach=True)
        case Optimizer.MOMENTUM:
            return optim.SGD(parameters, lr=1e-3, momentum=0.9, foreach=True)
        case Optimizer.ADAM:
            return optim.Adam(parameters, foreach=True)
        case Optimizer.ADAMW:
            return optim.AdamW(parameters, foreach=True)
        case Optimizer.RMSPROP:
            return optim.RMSprop(parameters, foreach=True)
        case Optimizer.ADAGRAD:
            return optim.Adagrad(parameters, foreach=True)
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
