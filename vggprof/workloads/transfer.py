"""Weights of a shallow network as the beginning of a deeper one.

Simonyan & Zisserman 2015, section 3.1: "we initialised the first four convolutional layers and the last
three fully-connected layers with the layers of net A (the intermediate layers were initialised randomly)".
The first four of A are conv1_1, conv2_1, conv3_1 and conv3_2. Only at their own places in the deeper network,
the same stage and position in it, do their shapes fit, so these places are what is meant here. Normalization
right behind an inheriting convolution inherits with it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from vggprof.analyzers import layer_stages
from vggprof.errors import UsageError
from vggprof.trace import Shape, Trace

CONVOLUTIONS, LINEAR = 4, 3  # of the paper

_CONVOLUTION, _LINEAR, _NORM = "Conv2d", "Linear", "BatchNorm2d"


class Shaped(Protocol):
    """A tensor, as far as it matters here."""

    @property
    def shape(self) -> Shape:
        """Its extents; torch.Size is a tuple."""


T = TypeVar("T", bound=Shaped)
# Of a layer, by their own names: shape, and parameters, which a buffer has none of.
Tensors: TypeAlias = dict[str, tuple[Shape, int]]
Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Inherited:
    """A tensor of the deeper network, and the shallow one's tensor that it begins with."""

    name: str
    shape: Shape
    source: str | None  # None where it starts fresh
    params: int  # 0 for a buffer


@dataclass(frozen=True, slots=True)
class LayerTransfer:
    """A layer with weights of the deeper network."""

    name: str
    source: str | None  # layer of the shallow network; None where it starts fresh
    tensors: tuple[Inherited, ...]

    @property
    def params(self) -> int:
        """Its parameters."""
        return sum(tensor.params for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Which layers of *target* begin with weights of *source*."""

    source: str
    target: str
    layers: tuple[LayerTransfer, ...]

    @property
    def params(self) -> int:
        """Parameters of the target."""
        return sum(layer.params for layer in self.layers)

    @property
    def inherited_params(self) -> int:
        """Those that are inherited."""
        return sum(layer.params for layer in self.layers if layer.source is not None)

    def apply(self, source: Mapping[str, T], target: Mapping[str, T]) -> dict[str, T]:
        """Return the state dict *target* with what it inherits from the state dict *source*.

        No tensor is copied: ``load_state_dict`` does that. Raises UsageError that names every tensor that is
        missing or has another shape.
        """
        pairs = [
            (tensor.name, tensor.source, tensor.shape)
            for layer in self.layers
            for tensor in layer.tensors
            if tensor.source is not None
        ]
        wrong = [
            *(_misfit(self.source, source, name, shape) for _, name, shape in pairs),
            *(_misfit(self.target, target, name, shape) for name, _, shape in pairs),
        ]
        if any(wrong):
            raise UsageError("; ".join(filter(None, wrong)))
        return {**target, **{name: source[taken] for name, taken, _ in pairs}}


def _misfit(whose: str, state: Mapping[str, T], name: str, shape: Shape) -> str | None:
    if name not in state:
        return f"the state of {whose} has no {name}"
    found = tuple(state[name].shape)
    return None if found == shape else f"{name} in the state of {whose} is {_by(found)}, not {_by(shape)}"


def transfer(
    source: Trace, target: Trace, *, convolutions: int = CONVOLUTIONS, linear: int = LINEAR
) -> Transfer:
    """Return which layers of *target* inherit from *source*: its first *convolutions* and *linear* layers.

    Linear layers are counted from the first one, so that with one less than there are the last starts fresh.
    Raises UsageError where *source* has fewer, or where one has no counterpart of its shape, naming all.
    """
    pairs = dict(_pairs(source, target, convolutions, linear))
    taken, given = _tensors(source), _tensors(target)
    made, wrong = [], []
    for name, tensors in given.items():
        begins = pairs.get(name)
        if begins is not None and _shapes(taken[begins]) != _shapes(tensors):
            here, there = _say(taken[begins]), _say(tensors)
            wrong.append(f"{begins} of {source.arch} ({here}) does not fit {name} of {target.arch} ({there})")
        made.append(_layer(name, tensors, begins))
    if wrong:
        raise UsageError(f"{'; '.join(wrong)}; fewer convolutions or linear layers may fit")
    return Transfer(source.arch, target.arch, tuple(made))


def _layer(name: str, tensors: Tensors, begins: str | None) -> LayerTransfer:
    inherited = tuple(
        Inherited(f"{name}.{own}", shape, None if begins is None else f"{begins}.{own}", params)
        for own, (shape, params) in tensors.items()
    )
    return LayerTransfer(name, begins, inherited)


def _tensors(trace: Trace) -> dict[str, Tensors]:
    found: defaultdict[str, Tensors] = defaultdict(dict)
    for parameter in trace.parameters:
        layer, _, own = parameter.name.rpartition(".")
        found[layer][own] = parameter.shape, 0 if parameter.buffer else parameter.elements
    return dict(found)


def _shapes(tensors: Tensors) -> dict[str, Shape]:
    return {own: shape for own, (shape, _) in tensors.items()}


def _say(tensors: Tensors) -> str:
    return ", ".join(f"{own} {_by(shape)}" for own, shape in _shapes(tensors).items())


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _pairs(source: Trace, target: Trace, convolutions: int, linear: int) -> Iterator[tuple[str, str]]:
    """Yield the layer of *target*, and the one of *source* that it begins with."""
    own, places = _places(source), _places(target)
    for word, kind, most in (
        ("convolutions", _CONVOLUTION, convolutions),
        ("linear layers", _LINEAR, linear),
    ):
        chosen = [(at, name) for at, name in own.items() if at[0] == kind]
        if not 0 <= most <= len(chosen):
            raise UsageError(f"{source.arch} has {len(chosen)} {word}; {most} of them cannot be inherited")
        for at, name in chosen[:most]:
            if at not in places:
                raise UsageError(f"{target.arch} has no layer in the place of {name} of {source.arch}")
            yield places[at], name
            norm = (_NORM, *at)
            if norm in places and norm in own:
                yield places[norm], own[norm]


def _places(trace: Trace) -> dict[Place, str]:
    """Return layers by kind, stage and position among their kind there; norms by what they follow."""
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[Place, str] = {}
    before: Place = ()
    for layer, stage in zip(trace.layers, layer_stages(trace), strict=True):
        if layer.op in (_CONVOLUTION, _LINEAR):
            before = (layer.op, stage.name, counts[layer.op, stage.name])
            counts[layer.op, stage.name] += 1
            found[before] = layer.module
        elif layer.op == _NORM and before:
            found[_NORM, *before] = layer.module
            before = ()
        else:
            before = ()
    return found
