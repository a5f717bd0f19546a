"""A network turned fully convolutional: its classifier slides over images of any size, scores are averaged.

Simonyan & Zisserman 2015, section 3.2, after Sermanet et al. 2014: the first linear layer becomes a
convolution as large as the map that it takes, the others become 1x1, and scores are averaged over the map.
Names stay, so that weights go over by name, each in the other's shape.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from vggprof.errors import UsageError
from vggprof.spec import ops
from vggprof.spec.archspec import ArchSpec
from vggprof.spec.ops import Layer

Layers: TypeAlias = tuple[Layer, ...]
# Shape of what a network gives for one image: (channels, height, width), or (features,).
Shaped: TypeAlias = Callable[[ArchSpec], tuple[int, ...]]

_CLASSIFIER = (ops.Linear, ops.Dropout, ops.BatchNorm, *ops.Activation.__args__)


def fully_convolutional(spec: ArchSpec, shaped: Shaped) -> ArchSpec:
    """Return *spec* with convolutions for its linear layers, and its scores averaged over the image.

    *shaped* says what the features give at the spec's own input: the size of the first kernel. Raises
    UsageError where no linear layers end the network, or an adaptive pooling before them changes sizes.
    """
    flat, linear = _classifier(spec)
    features = _without_adaptive_pool(replace(spec, layers=spec.layers[:flat]), shaped)
    shape = shaped(features)
    kernels = iter([(shape[1], shape[2])] if len(shape) == 3 else [])
    classifier = tuple(_convolved(layer, kernels) for layer in spec.layers[flat + 1 :])
    average = Layer(f"{linear}_average", ops.AdaptiveAvgPool((1, 1)), spec.layers[flat].at)
    return replace(spec, layers=(*features.layers, *classifier, average, spec.layers[flat]))


def _classifier(spec: ArchSpec) -> tuple[int, str]:
    """Return where the flatten before the linear layers stands, and the name of the last of these."""
    flats = [at for at, layer in enumerate(spec.layers) if isinstance(layer.op, ops.Flatten)]
    behind = spec.layers[flats[-1] + 1 :] if flats else ()
    linear = [layer.name for layer in behind if isinstance(layer.op, ops.Linear)]
    if not linear or not all(isinstance(layer.op, _CLASSIFIER) for layer in behind):
        raise UsageError(
            f"{spec.name} cannot be made fully convolutional: only linear layers, activations, dropout and "
            "batch norm may follow its flatten, and one linear layer at least"
        )
    return flats[-1], linear[-1]


def _without_adaptive_pool(features: ArchSpec, shaped: Shaped) -> ArchSpec:
    """Return *features* without an adaptive pooling at their end that changes nothing at the spec's input."""
    at = next(
        (at for at, layer in enumerate(features.layers) if isinstance(layer.op, ops.AdaptivePool)), None
    )
    if at is None:
        return features
    layer, before = features.layers[at], replace(features, layers=features.layers[:at])
    assert isinstance(layer.op, ops.AdaptivePool)
    came = shaped(before)[1:]
    if came != layer.op.size:
        took, gives = ("x".join(map(str, size)) for size in (came, layer.op.size))
        raise UsageError(
            f"{features.name} cannot be made fully convolutional: {layer.name} makes {gives} of {took}, so "
            "that no convolution does the same; choose another input, or edit it out"
        )
    return replace(features, layers=(*before.layers, *features.layers[at + 1 :]))


def _convolved(layer: Layer, kernels: Iterator[tuple[int, int]]) -> Layer:
    """Return the convolution for a linear layer, the first one of the size that *kernels* gives."""
    if not isinstance(layer.op, ops.Linear):
        return layer
    return replace(layer, op=ops.Conv(layer.op.features, next(kernels, (1, 1)), bias=layer.op.bias))
