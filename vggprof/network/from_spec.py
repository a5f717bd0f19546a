"""A spec to a torch.fx.GraphModule on the meta device: one call_module node a layer, named as there."""

from typing import Never, get_args

import torch
from torch import Tensor, fx, nn

from vggprof.errors import Problem, SpecError
from vggprof.network.fitting import branches_differ, by, misfit, too_small
from vggprof.network.leaves import module_of
from vggprof.spec import ArchSpec, Layer, ops

# Shapes are found by running modules on meta; with two images, for one could not be told from a stretched 1.
_IMAGES = 2

# What comes in goes out, so these need not run: batch norm on meta takes longer than all the rest.
_SHAPE_KEEPERS = (ops.BatchNorm, ops.Lrn, ops.Dropout, *get_args(ops.Activation))

_Value = tuple[fx.Node, Tensor]  # what the graph knows of a tensor, and a tensor of its shape


def build(spec: ArchSpec) -> fx.GraphModule:
    """Return the network that *spec* says, in training mode, on meta: no weight is allocated.

    Module paths and node targets are the layers' names. Raises SpecError where a layer does not fit.
    """
    builder = _Builder(spec)
    builder.run()
    return fx.GraphModule(builder.root, builder.graph, class_name="Network")


def shape_of(spec: ArchSpec) -> tuple[int, ...]:
    """Return the shape of what the network of *spec* gives for one image. Raises as `build` does."""
    return _Builder(spec).run()


class _Builder:
    """Grows a graph layer by layer."""

    def __init__(self, spec: ArchSpec) -> None:
        self.graph = fx.Graph()
        self.root = nn.Module()
        self._spec = spec

    def run(self) -> tuple[int, ...]:
        """Grow the whole graph and return the shape of what it gives for one image."""
        x = self.graph.placeholder("x")
        with torch.no_grad():
            image = torch.empty((_IMAGES, *self._spec.input), device="meta")
            node, out = self._chain(self._spec.layers, (x, image))
        self.graph.output(node)
        return _shape(out)

    def _chain(self, layers: tuple[Layer, ...], value: _Value) -> _Value:
        for layer in layers:
            value = self._layer(layer, value)
        return value

    def _layer(self, layer: Layer, value: _Value) -> _Value:
        match layer.op:
            case ops.Add() | ops.Concat() | ops.Multiply():
                ways = [self._chain(branch.layers, value) for branch in layer.op.branches]
                wrong = branches_differ(layer.op, [_shape(tensor) for _, tensor in ways])
            case _:
                ways = [value]
                wrong = misfit(layer.op, _shape(value[1]))
        if wrong:
            self._refuse(layer, wrong)
        return self._call(layer, ways)

    def _call(self, layer: Layer, ways: list[_Value]) -> _Value:
        """Add *layer* to the graph and return what comes out of it."""
        self._check_name(layer)
        shape = _shape(ways[0][1])
        try:
            module = module_of(layer.op, shape)
            out = (
                ways[0][1]
                if isinstance(layer.op, _SHAPE_KEEPERS)
                else module(*(tensor for _, tensor in ways))
            )
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            self._refuse(
                layer, too_small(layer.op, shape) or f"gets {by(shape)}, and torch says: {_line(error)}"
            )
        if 0 in out.shape:
            self._refuse(layer, too_small(layer.op, shape) or f"gets {by(shape)}, and gives nothing")
        _put(self.root, layer.name, module)
        return self.graph.call_module(layer.name, tuple(node for node, _ in ways)), out

    def _check_name(self, layer: Layer) -> None:
        """Refuse names that torch.nn.Module has for itself, such as ``type`` and ``half``."""
        for part in layer.name.split("."):
            if hasattr(fx.GraphModule, part):
                self._refuse(layer, f"torch modules have {part!r} for themselves; choose another name")

    def _refuse(self, layer: Layer, message: str) -> Never:
        place = Problem(self._spec.file, layer.at.line, layer.at.column, f"{layer.name}: {message}")
        raise SpecError([place])


def _put(root: nn.Module, path: str, module: nn.Module) -> None:
    """Register *module* at *path* below *root*, with plain modules for the levels between."""
    *levels, name = path.split(".")
    for level in levels:
        if level not in root._modules:
            root.add_module(level, nn.Module())
        root = root.get_submodule(level)
    root.add_module(name, module)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of one image."""
    return tuple(tensor.shape[1:])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
