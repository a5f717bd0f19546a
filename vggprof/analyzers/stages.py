"""Stages of a network, from resolutions alone: no name is looked at.

A new stage begins with the layer that is not a pooling and gives another resolution than the stage it takes
its input from: a strided convolution, or what follows a pooling. A pooling therefore closes the stage it
belongs to, and so do views. A join belongs to the furthest stage that it joins, so that parallel branches are
in the same stage. Layers that give one pixel (squeeze and excitation) stay where their input is. What has no
axes left after flatten is the classifier.
"""

from dataclasses import dataclass, replace
from math import prod

from vggprof.analyzers.forward import forward_operators, input_shapes, is_view, preceding_layer
from vggprof.analyzers.operators import POOLING, REDUCTION, RESAMPLING, base
from vggprof.trace import Operator, Shape, Trace

CLASSIFIER = "classifier"


@dataclass(frozen=True, slots=True)
class Stage:
    """A run of layers at one resolution; the classifier has none."""

    name: str  # "stage1", "stage2", ..., "classifier"
    resolution: Shape | None  # extents, without samples and channels


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the network a tensor lies; the input lies before the first stage."""

    stage: int
    stage_resolution: Shape
    resolution: Shape  # its own; a pooling's differs from its stage's


# They give one shape from another without work on the numbers.
_RESHAPING = frozenset({"clone", "contiguous", "_to_copy", "copy"})
# Of what moves pixels, these make no new grid: a padding is part of the convolution that follows.
_SAME_GRID = frozenset({"channel_shuffle", "flip", "native_channel_shuffle", "roll"})
_NEW_GRID = frozenset(name for name in RESAMPLING if "pad" not in name) - _SAME_GRID


def layer_stages(trace: Trace) -> tuple[Stage, ...]:
    """Return the stage of every layer, in the order of the layers."""
    places = _layer_places(trace)
    widest: dict[int, Shape] = {}
    numbers = [max(place.stage, 1) for place in places]  # a pooling before any other layer opens the first
    for number, place in zip(numbers, places, strict=True):
        widest[number] = max(widest.get(number, ()), place.stage_resolution, key=prod)
    reshaping = _reshaping_layers(trace)
    return tuple(
        Stage(CLASSIFIER, None)
        if layer.output_shape is not None and len(layer.output_shape) < 3 and index not in reshaping
        else Stage(f"stage{number}", widest[number])
        for index, (layer, number) in enumerate(zip(trace.layers, numbers, strict=True))
    )


def _layer_places(trace: Trace) -> list[_Place]:
    """Return where each layer's output lies; a layer that ran nothing lies where its input does."""
    inputs = input_shapes(trace)
    by_storage = {storage: _Place(0, (), shape[2:]) for storage, shape in inputs.items()}
    by_layer: dict[int, _Place] = {}
    for op in forward_operators(trace):
        place = _place(op, by_storage)
        if place is None:
            continue
        by_storage.update((operand.storage, place) for operand in op.outputs)
        if op.layer is not None:
            by_layer[op.layer] = place
    places: list[_Place] = []
    for index in range(len(trace.layers)):
        before = preceding_layer(trace, index) if index not in by_layer else None
        fallback = places[before] if before is not None else _Place(0, (), ())
        places.append(by_layer.get(index, fallback))
    return places


def _place(op: Operator, by_storage: dict[int, _Place]) -> _Place | None:
    """Where the outputs of *op* lie; None for what does not come from the input."""
    taken = [by_storage[operand.storage] for operand in op.inputs if operand.storage in by_storage]
    if not taken:
        return None
    furthest = max(taken, key=lambda place: place.stage)
    resolution = _resolution(op, taken)
    if _closes_stage(op) or resolution == furthest.stage_resolution or prod(resolution) == 1:
        return replace(furthest, resolution=resolution)
    return _Place(furthest.stage + 1, resolution, resolution)


def _closes_stage(op: Operator) -> bool:
    """Whether *op* belongs to its input's stage whatever resolution it gives."""
    return base(op.name) in POOLING | REDUCTION | _RESHAPING or is_view(op)


def _resolution(op: Operator, taken: list[_Place]) -> Shape:
    """Extents of what *op* gives: its own where it makes a grid, else the largest that it takes."""
    axes = max(len(place.resolution) for place in taken)
    name = base(op.name)
    if name in REDUCTION:
        return (1,) * axes
    if op.outputs and (name in POOLING | _NEW_GRID or "conv" in name):
        return op.outputs[0].shape[-axes:]
    return max((place.resolution for place in taken), key=prod)


def _reshaping_layers(trace: Trace) -> frozenset[int]:
    """Layers that only look at their input in another shape, like flatten."""
    only: dict[int, bool] = {}
    for op in forward_operators(trace):
        if op.layer is not None:
            reshapes = is_view(op) or base(op.name) in _RESHAPING
            only[op.layer] = only.get(op.layer, True) and reshapes
    return frozenset(layer for layer, reshapes in only.items() if reshapes)
