"""Training loops of others, to see what they add to the reference loop."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from vggprof.api import trace
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Optimizer, Trace


@dataclass(slots=True)
class ImageNetLoop:
    """The loop of github.com/itu-rad/GPUMemNet: a look at the network, training, validation."""

    look: bool = False  # torchsummary's forward pass of two images
    short: bool = False  # the last batch of an epoch, 15 images
    validation: int = 0  # batches
    steps_done: int = 0
    kept: tuple[Tensor, ...] = ()

    @property
    def steps(self) -> int:
        """Calls in all: three of training, then the others."""
        return 3 + self.short + self.validation

    def __call__(self, model: nn.Module, optimizer: optim.Optimizer, images: Tensor) -> None:
        """Do one step."""
        self.steps_done += 1
        if self.look and self.steps_done == 1:
            model(torch.empty(2, *images.shape[1:], device="meta"))
        if self.steps_done <= 3:
            self._train(model, optimizer, images)
        elif self.short and self.steps_done == 4:
            self._train(model, optimizer, torch.empty(15, *images.shape[1:], device="meta"))
        else:
            model.eval()
            with torch.no_grad():
                self._forward(model, images)

    def _train(self, model: nn.Module, optimizer: optim.Optimizer, images: Tensor) -> None:
        optimizer.zero_grad()
        self._forward(model, images)
        self.kept[-1].backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _forward(self, model: nn.Module, images: Tensor) -> None:
        labels = torch.empty(len(images), dtype=torch.int64, device="meta")
        out = model(images)
        self.kept = (images, labels, out, functional.cross_entropy(out, labels))


def trace_loop(arch: str, batch: int, optimizer: Optimizer, loop: ImageNetLoop) -> Trace:
    """Return the trace of *loop*, a new one, with the network *arch*."""
    network = load(parse_arch(arch))
    images = torch.empty(batch, *network.input_shape, device="meta")
    return trace(network.module, images, step=loop, optimizer=optimizer, steps=loop.steps)
