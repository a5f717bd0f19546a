"""The timing protocol of TensorFlow's alexnet_benchmark.py, which many VGG scripts took over.

Ten steps are run before the clock counts, then a hundred are timed, each until it is done: ``Forward``, with
dropout off and no gradients, then ``Forward-backward``, the gradients of all parameters of half the squared
logits (tf.nn.l2_loss), with dropout on and no optimizer. Images are normal with a deviation of 0.1. Unlike
there, nothing is copied off the device within a step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import perf_counter

import torch

from vggprof.measurement import Samples, Timing, summarize
from vggprof.profiler.stage import Loop
from vggprof.tracing.loop import trained
from vggprof.tracing.tensors import tensors_in

BURN_IN = 10
_EVERY = 10  # steps between two lines
_DEVIATION = 0.1


def run(loop: Loop, steps: int, wait: Callable[[], None], write: Callable[[str], None]) -> Timing:
    """Run the protocol on the network of *loop*, and *write* its lines as the script prints them.

    The times of ``Forward`` are the forward pass's, those of ``Forward-backward`` the whole step's. *wait*
    returns when the device is done.
    """
    module, casting = loop.stage.module, loop.stage.autocast
    images = loop.stage.inputs[0] * _DEVIATION
    parameters = trained(module)

    def forward() -> torch.Tensor:
        casting.begin()
        out = module(images)
        casting.end()
        return next(tensor for tensor in tensors_in(out) if tensor.is_floating_point())

    def alone() -> None:
        with torch.no_grad():
            forward()

    def with_backward() -> None:
        torch.autograd.grad(forward().pow(2).sum() / 2, parameters, allow_unused=True)

    module.eval()
    first = _timed(alone, "Forward", steps=steps, wait=wait, write=write)
    module.train()
    both = _timed(with_backward, "Forward-backward", steps=steps, wait=wait, write=write)
    return Timing(clock="monotonic", step=both, forward=first)


def _timed(
    target: Callable[[], None],
    name: str,
    *,
    steps: int,
    wait: Callable[[], None],
    write: Callable[[str], None],
) -> Samples:
    taken: list[float] = []
    for number in range(-BURN_IN, steps):
        begin = perf_counter()
        target()
        wait()
        took = perf_counter() - begin
        if number >= 0:
            taken.append(took * 1000)
            if number % _EVERY == 0:
                write(f"{datetime.now()}: step {number}, duration = {took:.3f}")
    samples = Samples(tuple(taken))
    found = summarize(samples)
    mean, deviation = found.mean_ms / 1000, found.std_ms / 1000
    now = datetime.now()
    write(f"{now}: {name} across {steps} steps, {mean:.3f} +/- {deviation:.3f} sec / batch")
    return samples
