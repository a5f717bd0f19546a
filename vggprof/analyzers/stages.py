"""Stages of a network, from resolutions alone: no name is looked at.

A new stage begins with the layer that is not a pooling and gives another resolution than the stage it takes
its input from: a strided convolution, or what follows a pooling. A pooling therefore closes the stage it
belongs to, and so do views. A join belongs to the furthest stage that it joins, so that parallel branches are
in the same stage. Layers that give one pixel (squeeze and excitation) stay where their input is. What has no
axes left after flatten is the classifier.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from vggprof.analyzers.forward import forward_operators, input_shapes, is_view, preceding_layer
from vggprof.analyzers.operators import POOLING, REDUCTION, RESAMPLING, base
from vggprof.trace import Layer, Operator, Shape, Trace

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


_START = _Place(0, (), ())

# They give one shape from another without work on the numbers.
_RESHAPING = frozenset({"clone", "contiguous", "_to_copy", "copy"})
# Of what moves pixels, these make no new grid: a padding is part of the convolution that follows.
_SAME_GRID = frozenset({"channel_shuffle", "flip", "native_channel_shuffle", "roll"})
_NEW_GRID = POOLING | frozenset(name for name in RESAMPLING if "pad" not in name) - _SAME_GRID
_CLOSING = POOLING | REDUCTION | _RESHAPING


def in_order(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Return each stage once: by number, the classifier last."""
    return tuple(
        sorted(set(stages), key=lambda stage: (stage.name == CLASSIFIER, len(stage.name), stage.name))
    )


def layer_stages(trace: Trace) -> tuple[Stage, ...]:
    """Return the stage of every layer, in the order of the layers."""
    results = _places_of_results(trace)
    places = _layer_places(trace, results)
    widest: dict[int, Shape] = {}
    numbers = [max(place.stage, 1) for place in places]  # a pooling before any other layer opens the first
    for number, place in zip(numbers, places, strict=True):
        widest[number] = max(widest.get(number, ()), place.stage_resolution, key=prod)
    neighbours = _never_classifier(trace, results)
    return tuple(
        Stage(f"stage{number}", widest[number])
        if index in neighbours or layer.output_shape is None or len(layer.output_shape) > 2
        else Stage(CLASSIFIER, None)
        for index, (layer, number) in enumerate(zip(trace.layers, numbers, strict=True))
    )


def stage_names(trace: Trace) -> tuple[str, ...]:
    """Return the name of the stage of every layer, in the order of the layers."""
    return tuple(stage.name for stage in layer_stages(trace))


def _layer_places(trace: Trace, results: dict[int, _Place]) -> list[_Place]:
    """Return where each layer's output lies.

    A layer that ran nothing lies where its input does; one that does not work on the input, but on parameters
    alone, where the layer before it does.
    """
    places: list[_Place] = []
    for index in range(len(trace.layers)):
        before = preceding_layer(trace, index) if index not in results else None
        last = index - 1 if before is None else before
        places.append(results.get(index, places[last] if places else _START))
    return places


def _places_of_results(trace: Trace) -> dict[int, _Place]:
    """Follow the input through the operators; per layer where the last one's result lies."""
    by_storage = {i: replace(_START, resolution=shape[2:]) for i, shape in input_shapes(trace).items()}
    by_layer: dict[int, _Place] = {}
    for op in forward_operators(trace):
        place = _place(op, by_storage)
        if place is not None:
            by_storage.update((operand.storage, place) for operand in op.outputs)
            if op.layer is not None:
                by_layer[op.layer] = place
    return by_layer


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
    return base(op.name) in _CLOSING or is_view(op)


def _resolution(op: Operator, taken: list[_Place]) -> Shape:
    """Extents of what *op* gives: its own where it makes a grid, else the largest that it takes."""
    axes = max(len(place.resolution) for place in taken)
    name = base(op.name)
    if name in REDUCTION:
        return (1,) * axes
    if op.outputs and (name in _NEW_GRID or "conv" in name):
        return op.outputs[0].shape[-axes:] if axes else op.outputs[0].shape[2:]
    return max((place.resolution for place in taken), key=prod)


def _never_classifier(trace: Trace, results: dict[int, _Place]) -> frozenset[int]:
    """Layers of a stage though they may have no axes: those that end one, and work on parameters alone."""
    closing: dict[int, bool] = {}
    for op in forward_operators(trace):
        if op.layer is not None:
            closing[op.layer] = closing.get(op.layer, True) and _closes_stage(op)
    return frozenset(
        layer
        for layer, closes in closing.items()
        if layer not in results or (closes and _takes_a_map(trace.layers[layer]))
    )


def _takes_a_map(layer: Layer) -> bool:
    return any(len(shape) > 2 for shape in layer.input_shapes)
