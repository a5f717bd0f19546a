"""Every batch from two: sizes in a trace are a + b x batch, so a search over batches traces nothing anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from vggprof.errors import VggprofError
from vggprof.trace.values import Argument, Layer, Operand, Operator, Shape, Storage, Trace

T = TypeVar("T")


class NotLinearError(VggprofError):
    """Two traces differ in more than sizes that grow evenly with the batch."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """The traces of one network and setup at all batches, drawn through two of them.

    Raises NotLinearError where the two do not run the same operators, or a size does not lie on a line
    through whole numbers.
    """

    low: Trace
    high: Trace

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if low.setup.batch >= high.setup.batch or replace(low.setup, batch=high.setup.batch) != high.setup:
            raise NotLinearError("a line over batches needs one setup at a smaller and a larger batch")
        if low.events != high.events or low.parameters != high.parameters:
            raise NotLinearError("the order of operators, births and deaths depends on the batch")
        self.at(high.setup.batch)

    def at(self, batch: int) -> Trace:
        """Return the trace of *batch*. Raises NotLinearError where a size would not be whole."""
        low, high = self.low, self.high
        if batch == low.setup.batch:
            return low
        point = _Point(low.setup.batch, high.setup.batch, batch)
        return replace(
            low,
            setup=replace(low.setup, batch=batch),
            layers=_each(point.layer, low.layers, high.layers),
            storages=_each(point.storage, low.storages, high.storages),
            operators=_each(point.operator, low.operators, high.operators),
        )


class _Point:
    """Interpolates at one batch; what two traces share is shared, and equal pairs are computed once."""

    def __init__(self, low: int, high: int, batch: int) -> None:
        self._span = high - low
        self._offset = batch - low
        self._checks = batch == high  # where the line was drawn; once is enough
        self._shapes: dict[tuple[Shape, Shape], Shape] = {}

    def integer(self, low: int, high: int) -> int:
        """Return the whole number on the line through *low* and *high*."""
        slope, rest = divmod(high - low, self._span)
        if rest:
            raise NotLinearError(f"a size of {low} and {high} at two batches does not grow evenly")
        return low + slope * self._offset

    def shape(self, low: Shape, high: Shape) -> Shape:
        """Return the shape, or the strides, on the line."""
        known = self._shapes.get((low, high))
        if known is None:
            known = _each(self.integer, low, high) if low != high else low
            self._shapes[low, high] = known
        return known

    def storage(self, low: Storage, high: Storage) -> Storage:
        """Return the storage on the line."""
        if low == high:
            return low
        self._same(low, high, nbytes=low.nbytes)
        return Storage(self.integer(low.nbytes, high.nbytes), low.kind, low.layer, low.operator)

    def layer(self, low: Layer, high: Layer) -> Layer:
        """Return the layer on the line."""
        if low == high:
            return low
        shapes = _each(self.shape, low.input_shapes, high.input_shapes)
        given = low.output_shape and high.output_shape and self.shape(low.output_shape, high.output_shape)
        self._same(low, high, input_shapes=low.input_shapes, output_shape=low.output_shape)
        return Layer(low.name, low.module, low.op, shapes, given, low.training)

    def operator(self, low: Operator, high: Operator) -> Operator:
        """Return the operator on the line."""
        if low == high:
            return low
        inputs = _each(self._operand, low.inputs, high.inputs)
        outputs = _each(self._operand, low.outputs, high.outputs)
        arguments = _each(self._named, low.arguments, high.arguments)
        self._same(low, high, inputs=low.inputs, outputs=low.outputs, arguments=low.arguments)
        return Operator(low.name, low.step, low.phase, low.layer, inputs, outputs, arguments)

    def _operand(self, low: Operand, high: Operand) -> Operand:
        if low == high:
            return low
        shape, strides = self.shape(low.shape, high.shape), self.shape(low.strides, high.strides)
        self._same(low, high, shape=low.shape, strides=low.strides)
        return Operand(low.name, low.storage, shape, strides, low.dtype)

    def _same(self, low: Any, high: Any, **sizes: Any) -> None:  # noqa: ANN401 - any value of the trace
        if self._checks and low != replace(high, **sizes):
            raise NotLinearError(f"{low} and {high} differ in more than their sizes")

    def _named(self, low: tuple[str, Argument], high: tuple[str, Argument]) -> tuple[str, Argument]:
        return low[0], self._argument(low[1], high[1])

    def _argument(self, low: Argument, high: Argument) -> Argument:
        if low == high:
            return low
        if type(low) is int and type(high) is int:
            return self.integer(low, high)
        if isinstance(low, tuple) and isinstance(high, tuple):
            return _each(self._argument, low, high)
        raise NotLinearError(f"an argument of {low!r} and {high!r} at two batches is no size")


def _each(line: Callable[[T, T], T], low: Sequence[T], high: Sequence[T]) -> tuple[T, ...]:
    if len(low) != len(high):
        raise NotLinearError(f"{low} and {high} at two batches are not as many")
    return tuple(map(line, low, high))
