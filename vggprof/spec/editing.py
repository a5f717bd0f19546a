"""Edits of a spec carried out: an ArchSpec in, another one out; nothing is built here."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypeAlias, assert_never

from vggprof.errors import did_you_mean
from vggprof.spec import ops
from vggprof.spec.archspec import ArchSpec
from vggprof.spec.convolutional import Shaped, fully_convolutional
from vggprof.spec.edits import (
    REMOVABLE,
    AddBatchNorm,
    Dense,
    Edit,
    Input,
    Kernels,
    NoClassifier,
    Option,
    SingleKernels,
    Width,
    Without,
    refuse,
)
from vggprof.spec.kinds import MAX_CHANNELS
from vggprof.spec.ops import Layer
from vggprof.spec.stacks import with_single_kernels

Layers: TypeAlias = tuple[Layer, ...]

_STAGE = re.compile(r"stage([1-9]\d{0,3})")


def apply_edits(edits: Sequence[Edit], spec: ArchSpec, shaped: Shaped | None = None) -> ArchSpec:
    """Return *spec* with *edits* made one after the other; `Dense` needs *shaped* (`fully_convolutional`).

    Raises UsageError for an edit that changes nothing, or that its layers do not allow. Whether the layers
    still fit each other shows when the network is built.
    """
    for edit in edits:
        edited = _apply(edit, spec, shaped)
        if edited == spec:
            refuse(edit.text, f"it changes nothing in {spec.name}")
        spec = edited
    return spec


def conv_stages(spec: ArchSpec) -> dict[str, int]:
    """Return the stage of each convolution, as `vggprof layers` numbers them.

    A stage begins with a convolution that changes the size, or with the first one after a pooling.
    """
    found: dict[str, int] = {}
    _number(spec.layers, (0, False), found)
    return found


def _apply(edit: Edit, spec: ArchSpec, shaped: Shaped | None) -> ArchSpec:  # noqa: PLR0911 - a change each
    change = edit.change
    match change:
        case Input(int() as side):
            return replace(spec, input=(spec.input[0], side, side))
        case Input(shape):
            assert isinstance(shape, tuple)
            return replace(spec, input=shape)
        case Width(factor):
            return _each_conv(spec, lambda layer, op: _one(layer, _wider(op, factor)))
        case NoClassifier():
            return replace(spec, layers=_bare_head(edit, spec))
        case Without(word):
            return _rewritten(spec, lambda layer: () if isinstance(layer.op, REMOVABLE[word]) else (layer,))
        case AddBatchNorm():
            return replace(spec, layers=_normalized(spec.layers))
        case Dense():
            if shaped is None:
                refuse(edit.text, "its sizes follow only where the network is built; ask without this edit")
            return fully_convolutional(spec, shaped)
        case SingleKernels():
            return replace(spec, layers=_single_kernels(spec.layers))
        case Kernels(old, new):
            return _each_conv(
                spec,
                lambda layer, op: _one(layer, _with_kernel(edit, op, new) if op.kernel == (old, old) else op),
            )
        case Option(selector, option, value):
            chosen = _selected(edit, spec, selector, first=option == "stride")
            return _each_conv(
                spec,
                lambda layer, op: _one(layer, _set(edit, op, option, value) if layer.name in chosen else op),
            )
        case _:
            assert_never(change)


def _set(edit: Edit, op: ops.Convolution, option: str, value: int) -> ops.Convolution:
    match option:
        case "stride":
            return replace(op, stride=(value, value))
        case "kernel":
            return _with_kernel(edit, op, value)
        case "channels":
            return replace(op, channels=value)
        case _:
            raise ValueError(f"a convolution has no option {option!r}")


def _wider(op: ops.Convolution, factor: float) -> ops.Convolution:
    return replace(op, channels=min(max(1, round(op.channels * factor)), MAX_CHANNELS))


def _with_kernel(edit: Edit, op: ops.Convolution, side: int) -> ops.Convolution:
    """Return *op* with a square kernel and the padding that keeps the size of what it gives."""
    if op.padding == "same":
        return replace(op, kernel=(side, side))
    spans = [(d * (side - k), p) for d, k, p in zip(op.dilation, op.kernel, op.padding, strict=True)]
    if any(more % 2 or p + more // 2 < 0 for more, p in spans):
        refuse(edit.text, f"no padding keeps the sizes where a kernel was {op.kernel[0]}x{op.kernel[1]}")
    (_, down), (_, right) = ((more, p + more // 2) for more, p in spans)
    return replace(op, kernel=(side, side), padding=(down, right))


def _selected(edit: Edit, spec: ArchSpec, selector: str, *, first: bool) -> frozenset[str]:
    """Return the names of the convolutions that *selector* means; of a stage only the *first*, or all."""
    stages = conv_stages(spec)
    stage = _STAGE.fullmatch(selector)
    if selector == "stem":
        names = list(stages)[:1]
    elif stage:
        names = [name for name, number in stages.items() if number == int(stage[1])]
        names = names[:1] if first else names
    else:
        names = [name for name in stages if fnmatchcase(name, selector)]
    if not names:
        known = ("stem", *dict.fromkeys(f"stage{number}" for number in stages.values()), *stages)
        shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        refuse(
            edit.text,
            f"{spec.name} has no convolution {selector!r}; it has {shown}{did_you_mean(selector, known)}",
        )
    return frozenset(names)


def _bare_head(edit: Edit, spec: ArchSpec) -> Layers:
    layers = spec.layers
    flat = max((at for at, layer in enumerate(layers) if isinstance(layer.op, ops.Flatten)), default=None)
    linear = [at for at, layer in enumerate(layers) if isinstance(layer.op, ops.Linear)]
    if flat is None or not linear or linear[0] < flat or len(linear) < 2:
        refuse(edit.text, f"{spec.name} has no hidden linear layers behind a flatten")
    features, last = layers[:flat], layers[linear[-1] :]
    name = "avgpool"
    if features and isinstance(features[-1].op, ops.AdaptiveAvgPool | ops.AdaptiveMaxPool):
        features, name = features[:-1], features[-1].name
    pool = Layer(name, ops.AdaptiveAvgPool((1, 1)), layers[flat].at)
    return (*features, pool, layers[flat], *last)


def _normalized(layers: Layers) -> Layers:
    """Return *layers* with batch normalisation after each convolution that no other follows."""
    done: list[Layer] = []
    for layer, after in zip(layers, (*layers[1:], None), strict=True):
        done.append(_inside(layer, _normalized))
        if isinstance(layer.op, ops.Convolution) and not (after and isinstance(after.op, ops.BatchNorm)):
            done.append(Layer(f"{layer.name}_bn", ops.BatchNorm(), layer.at))
    return tuple(done)


def _single_kernels(layers: Layers) -> Layers:
    return with_single_kernels(tuple(_inside(layer, _single_kernels) for layer in layers))


def _each_conv(spec: ArchSpec, change: Callable[[Layer, ops.Convolution], Layers]) -> ArchSpec:
    return _rewritten(
        spec, lambda layer: change(layer, layer.op) if isinstance(layer.op, ops.Convolution) else (layer,)
    )


def _rewritten(spec: ArchSpec, change: Callable[[Layer], Layers]) -> ArchSpec:
    """Return *spec* with what *change* makes of each layer, those in branches first."""

    def all_of(layers: Layers) -> Layers:
        return tuple(made for layer in layers for made in change(_inside(layer, all_of)))

    return replace(spec, layers=all_of(spec.layers))


def _inside(layer: Layer, change: Callable[[Layers], Layers]) -> Layer:
    """Return *layer* with *change* made to its branches, where it has some."""
    match layer.op:
        case ops.Add() | ops.Concat() | ops.Multiply():
            branches = tuple(replace(branch, layers=change(branch.layers)) for branch in layer.op.branches)
            return replace(layer, op=replace(layer.op, branches=branches))
        case _:
            return layer


def _one(layer: Layer, op: ops.Op) -> Layers:
    return (replace(layer, op=op),)


def _number(layers: Layers, state: tuple[int, bool], found: dict[str, int]) -> tuple[int, bool]:
    """Put the stages of *layers* into *found*; *state* is the stage, and whether a pooling has closed it."""
    for layer in layers:
        stage, closed = state
        match layer.op:
            case ops.Add() | ops.Concat() | ops.Multiply():
                state = max(_number(branch.layers, state, found) for branch in layer.op.branches)
            case ops.Conv() | ops.ConvTranspose():
                state = (stage + (closed or stage == 0 or _resizes(layer.op)), False)
                found[layer.name] = state[0]
            case ops.MaxPool() | ops.AvgPool() | ops.LpPool():
                state = (stage, closed or layer.op.stride != (1, 1))
            case ops.AdaptiveAvgPool() | ops.AdaptiveMaxPool():
                state = (stage, True)
            case _:
                pass
    return state


def _resizes(op: ops.Convolution) -> bool:
    """Whether *op* gives another size than it takes."""
    if op.stride != (1, 1):
        return True
    if op.padding == "same":
        return False
    sides = zip(op.padding, op.dilation, op.kernel, strict=True)
    return any(2 * padding != dilation * (kernel - 1) for padding, dilation, kernel in sides)
