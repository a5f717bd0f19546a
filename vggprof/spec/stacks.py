"""Stacks of convolutions in a spec, and for each the one convolution that sees as much of the input."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from vggprof.spec import ops
from vggprof.spec.archspec import ArchSpec
from vggprof.spec.kinds import MAX_KERNEL
from vggprof.spec.ops import Layer

Layers: TypeAlias = tuple[Layer, ...]

# They work on each pixel alone, so that convolutions with these between them are one stack.
_BETWEEN = (ops.BatchNorm, ops.Dropout, *ops.Activation.__args__)
_LINEAR = (ops.Identity, ops.BatchNorm, ops.Dropout)


@dataclass(frozen=True, slots=True)
class Stack:
    """Convolutions one after the other, with what works on single pixels between and behind them.

    *single* is the convolution with the receptive field and the output size of all, named like the last one.
    """

    layers: Layers
    single: Layer

    @property
    def convolutions(self) -> Layers:
        """The convolutions alone; at least two."""
        return tuple(layer for layer in self.layers if isinstance(layer.op, ops.Conv))

    @property
    def kept(self) -> Layers:
        """What stands in its place with the single convolution: that, and what follows the last one."""
        last = max(at for at, layer in enumerate(self.layers) if isinstance(layer.op, ops.Conv))
        return (self.single, *self.layers[last + 1 :])


def nonlinearities(layers: Layers) -> int:
    """Return how many of *layers*, and of those in their branches, are activations that bend."""
    bends = sum(isinstance(layer.op, _BETWEEN) and not isinstance(layer.op, _LINEAR) for layer in layers)
    return bends + sum(nonlinearities(branch.layers) for layer in layers for branch in _branches(layer))


def stacks(spec: ArchSpec) -> tuple[Stack, ...]:
    """Return the stacks of *spec*, those in branches too, in order. Grouped convolutions are in none."""
    return tuple(_all_stacks(spec.layers))


def with_single_kernels(layers: Layers) -> Layers:
    """Return the chain *layers* with a single convolution in the place of each stack; not inside branches."""
    made: list[Layer] = []
    for part in _parts(layers):
        made += part.kept if isinstance(part, Stack) else part
    return tuple(made)


def _all_stacks(layers: Layers) -> Iterator[Stack]:
    for part in _parts(layers):
        if isinstance(part, Stack):
            yield part
            continue
        for layer in part:
            for branch in _branches(layer):
                yield from _all_stacks(branch.layers)


def _branches(layer: Layer) -> tuple[ops.Branch, ...]:
    return layer.op.branches if isinstance(layer.op, ops.Join) else ()


def _parts(layers: Layers) -> Iterator[Stack | Layers]:
    """Divide a chain into stacks and what is none."""
    run: list[Layer] = []
    for layer in layers:
        if _stackable(layer.op) or (run and isinstance(layer.op, _BETWEEN)):
            run.append(layer)
        else:
            yield _part(tuple(run))
            yield (layer,)
            run = []
    yield _part(tuple(run))


def _stackable(op: ops.Op) -> bool:
    return isinstance(op, ops.Conv) and op.groups == 1 and _margin(op) is not None


def _part(run: Layers) -> Stack | Layers:
    convolutions = [(layer, layer.op) for layer in run if isinstance(layer.op, ops.Conv)]
    if len(convolutions) < 2:
        return run
    last, _ = convolutions[-1]
    op = _single([op for _, op in convolutions])
    return run if max(op.kernel) > MAX_KERNEL else Stack(run, replace(last, op=op))


def _single(stacked: list[ops.Conv]) -> ops.Conv:
    """Return the convolution that gives the size of *stacked* and sees what they see.

    Each one widens what is seen by (kernel - 1) x dilation of its own steps, which are as many pixels as the
    strides before it come to (Araujo et al. 2019, eq. 2); padding adds up the same way.
    """
    (height, down, step_down), (width, right, step_right) = (_axis(stacked, axis) for axis in (0, 1))
    return ops.Conv(
        channels=stacked[-1].channels,
        kernel=(height, width),
        stride=(step_down, step_right),
        padding=(down, right),
        bias=stacked[-1].bias,
    )


def _axis(stacked: list[ops.Conv], axis: int) -> tuple[int, int, int]:
    """Return kernel, padding and stride of all *stacked* along one axis."""
    kernel, padding, step = 1, 0, 1
    for op in stacked:
        margin = _margin(op)
        assert margin is not None, "only such are stacked"
        kernel += (op.kernel[axis] - 1) * op.dilation[axis] * step
        padding += margin[axis] * step
        step *= op.stride[axis]
    return kernel, padding, step


def _margin(op: ops.Conv) -> tuple[int, int] | None:
    """Return the padding of *op* on each side; None where "same" wants more on one side than the other."""
    if op.padding != "same":
        return op.padding
    down, right = (d * (k - 1) for d, k in zip(op.dilation, op.kernel, strict=True))
    return None if down % 2 or right % 2 else (down // 2, right // 2)
