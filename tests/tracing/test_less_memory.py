"""Ways of training that take less memory, against the same training for real on the CPU."""

import pytest
from real_loop import Loop, Marks, real_marks, traced_marks
from torch import nn

from vggprof.trace import Amp, Born, Kind, Phase, Setup, Trace, ZeroGrad
from vggprof.trace.batches import BatchLine
from vggprof.tracing import trace_network


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )


def trace(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8), **how: object) -> Trace:
    return trace_network(module.to("meta"), shape, Setup(**{"batch": 4, **how}), arch="net")  # type: ignore[arg-type]


def since_input(marks: Marks) -> Marks:
    """Marks of the first two steps, counted from the first input; the reference loop runs a third."""
    start = next(live for step, _, live in marks if step == 0)
    return [(step, name, live - start) for step, name, live in marks if step in (0, 1)]


@pytest.mark.parametrize("zero_grad", ZeroGrad)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_live_bytes_are_those_of_the_real_loop(accumulate: int, zero_grad: ZeroGrad) -> None:
    """At every mark of every micro-batch.

    The divisor of the loss is kept for backward as a double on the host: the CPU counts it, a GPU does not.
    """
    traced = trace(net(), accumulate=accumulate, zero_grad=zero_grad)
    real = since_input(real_marks(Loop(net(), accumulate=accumulate, set_to_none=zero_grad is ZeroGrad.NONE)))
    divisor = 8 if accumulate > 1 else 0
    on_gpu = [(step, name, live - divisor * (name == "loss")) for step, name, live in real]
    assert since_input(traced_marks(traced)) == on_gpu
    assert len(real) == 2 * (4 * accumulate + 1)


@pytest.mark.parametrize("amp", Amp)
@pytest.mark.parametrize("how", [{"accumulate": 2}, {"zero_grad": "zero"}])
def test_two_batches_give_every_batch(how: dict[str, object], amp: Amp) -> None:
    low, high, other = (trace(net(), batch=batch, amp=amp, **how) for batch in (2, 4, 33))
    assert BatchLine(low, high).at(33) == other


def test_accumulation_sums_into_the_first_gradients_and_steps_once() -> None:
    """With three micro-batches the later two add in place, to each of the six parameters."""
    traced = trace(net(), accumulate=3)
    step = list(traced.step_operators(1))
    summed = [op for op in step if op.name == "aten.add_.Tensor" and op.phase is Phase.BACKWARD]
    assert len(summed) == 2 * 6
    assert {traced.storages[op.outputs[0].storage].kind for op in summed} == {Kind.GRADIENT}
    assert [op.name for op in step].count("aten._foreach_mul_.Scalar") == 1  # the momentum
    assert {layer.name for layer in traced.layers} == {layer.name for layer in trace(net()).layers}


def test_zeroed_gradients_stay_where_they_are() -> None:
    """Gradients are born in the first step alone, and zeroed in each later one."""

    def gradients(zero_grad: ZeroGrad) -> list[int]:
        traced = trace(net(), zero_grad=zero_grad)
        born = [event.storage for event in traced.events if isinstance(event, Born)]
        return [number for number in born if traced.storages[number].kind is Kind.GRADIENT]

    assert (len(gradients(ZeroGrad.ZERO)), len(gradients(ZeroGrad.NONE))) == (6, 18)
    zeroed = [
        op for op in trace(net(), zero_grad="zero").step_operators(1) if op.name == "aten.zero_.default"
    ]
    assert [op.phase for op in zeroed] == [Phase.FORWARD] * 6
