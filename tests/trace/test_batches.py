"""Sizes at any batch from the traces of two."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.trace import Born, Kind, Layer, Operand, Operator, Phase, Ran, Setup, Storage, Trace
from vggprof.trace.batches import BatchLine, NotLinearError


def trace(batch: int, *, fixed: int = 100, each: int = 12) -> Trace:
    """One operator that makes a storage of *fixed* + *each* x batch bytes and shows it by its shape."""
    out = Operand("out", 0, (batch, 3), (3, 1), "float32")
    operator = Operator(
        "aten.view.default", 0, Phase.FORWARD, 0, (), (out,), (("size", (batch, 3)), ("dim", 1))
    )
    return Trace(
        arch="net",
        setup=Setup(batch=batch),
        torch_version="2.15.0",
        layers=(Layer("view", "", "view", ((batch, 3),), (batch, 3), training=True),),
        parameters=(),
        storages=(Storage(fixed + each * batch, Kind.ACTIVATION, 0, 0),),
        operators=(operator,),
        events=(Ran(0), Born(0)),
    )


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 10_000), st.integers(0, 99), st.integers(0, 99))
def test_every_batch_lies_on_the_line(low: int, span: int, batch: int, fixed: int, each: int) -> None:
    line = BatchLine(trace(low, fixed=fixed, each=each), trace(low + span, fixed=fixed, each=each))
    assert line.at(batch) == trace(batch, fixed=fixed, each=each)


def test_a_size_that_does_not_grow_evenly_is_refused() -> None:
    with pytest.raises(NotLinearError, match="does not grow evenly"):
        BatchLine(trace(2), replace(trace(5), storages=(Storage(125, Kind.ACTIVATION, 0, 0),)))


@pytest.mark.parametrize(
    "other",
    [
        replace(trace(4), events=(Born(0), Ran(0))),
        replace(trace(4), storages=(Storage(148, Kind.TEMPORARY, 0, 0),)),
        replace(trace(4), operators=(replace(trace(4).operators[0], name="aten.clone.default"),)),
        replace(trace(4), operators=(replace(trace(4).operators[0], arguments=()),)),
        replace(trace(4), operators=()),
        replace(trace(4), layers=(replace(trace(4).layers[0], op="clone"),)),
        trace(2),
        trace(1),
    ],
)
def test_traces_that_differ_in_more_than_sizes_are_refused(other: Trace) -> None:
    with pytest.raises(NotLinearError):
        BatchLine(trace(2), other)
