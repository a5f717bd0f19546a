"""Modules that join branches, so that a join has a name and a path as other layers do."""

import torch
from torch import Tensor, nn


class Add(nn.Module):
    """Sum of tensors of one shape, from the first to the last; *inplace* adds onto the first."""

    def __init__(self, *, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Return the sum."""
        total = first
        for other in others:
            total = total.add_(other) if self.inplace else total + other
        return total

    def extra_repr(self) -> str:
        """Return what nn.ReLU returns."""
        return "inplace=True" if self.inplace else ""


class Concat(nn.Module):
    """Tensors one after the other along the channels."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Return a tensor with the channels of all *parts*."""
        return torch.cat(parts, dim=1)


class Multiply(nn.Module):
    """Product of tensors, from the first to the last; sizes of 1 stretch."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """Return the product."""
        product = first
        for other in others:
            product = product * other
        return product
