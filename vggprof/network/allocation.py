"""A network in real memory: allocated, and initialised as torch initialises its layers."""

import torch
from torch import nn

from vggprof.errors import ArchError


def materialize(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Give *module*, built on meta, memory on *device* and fresh weights; return it.

    Weights come from each layer's ``reset_parameters``, so ``torch.manual_seed`` repeats them. Raises
    ArchError for a layer that has weights and no such method: they would be whatever was in memory.
    """
    for path, layer in module.named_modules():
        own = [
            name for name, _ in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))
        ]
        if own and not callable(getattr(layer, "reset_parameters", None)):
            raise ArchError(
                f"{path or 'the module'} has no reset_parameters, so its {own[0]} cannot be initialised"
            )
    module.to_empty(device=device)
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()
    return module
