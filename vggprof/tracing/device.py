"""The module's way to the device: what `.to("cuda")` allocates, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from vggprof.trace import is_channels_last
from vggprof.tracing.session import Session


def move_to_device(session: Session, *, halved: bool) -> None:
    """Write down what `module.to("cuda", memory_format=...)`, and `.half()` if *halved*, allocates and frees.

    The module lies on meta in its final dtype and layout. A parameter whose order in memory changes on the
    way takes a plain copy on the GPU first: copy_kernel_cuda in ATen/native/cuda/Copy.cu.
    """
    recorder = session.recorder
    homes: list[tuple[Tensor, int, int]] = []
    for tensor in _apply_order(session.module):
        arriving = tensor.nbytes * (2 if halved and tensor.is_floating_point() else 1)
        home = recorder.born(arriving)
        if order_changes(tensor):
            recorder.freed(recorder.born(arriving))
        homes.append((tensor, home, arriving))
    for tensor, home, arriving in homes:
        if arriving == tensor.nbytes:
            recorder.adopt(tensor, home)
        else:
            recorder.adopt(tensor, recorder.born(tensor.nbytes))
            recorder.freed(home)
    session.note_module()


def _apply_order(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers in the order in which nn.Module._apply moves them, each once."""
    seen: set[int] = set()

    def visit(module: nn.Module) -> Iterator[Tensor]:
        for child in module.children():
            yield from visit(child)
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor

    return visit(module)


def order_changes(tensor: Tensor) -> bool:
    """Whether the elements of *tensor*, plain on the host, lie in another order on the device."""
    several = tensor.dim() == 4 and tensor.shape[1] > 1 and tensor.shape[2] * tensor.shape[3] > 1
    return several and is_channels_last(tuple(tensor.shape), tensor.stride())
