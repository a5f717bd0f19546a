"""Pillow, where it is installed, and its pictures as tensors."""

import torch
from torch import Tensor

from vggprof.errors import UsageError

try:
    from PIL import Image
except ImportError as error:
    raise UsageError("pictures need Pillow; install it with pip install 'vggprof[train]'") from error

__all__ = ["Image", "tensor_of"]


def tensor_of(picture: Image.Image) -> Tensor:
    """Return *picture*, grey or RGB, as channels x height x width of floats from 0 to 1."""
    bytes_ = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    pixels = bytes_.reshape(picture.height, picture.width, len(picture.getbands()))
    return pixels.permute(2, 0, 1).float() / 255
