"""Ways of training that take less memory, against the same training for real on the CPU."""

from collections import OrderedDict
from functools import partial

import pytest
import torch
from real_loop import Loop, Marks, real_marks, traced_marks
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vggprof.analyzers.stages import stage_names
from vggprof.trace import Amp, Born, Kind, Phase, Setup, Trace, ZeroGrad
from vggprof.trace.batches import BatchLine
from vggprof.tracing import checkpointing, trace_network
from vggprof.tracing.changes import Changes, changed
from vggprof.tracing.loop import network_changes


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )


def trace(module: nn.Module, **how: object) -> Trace:
    setup = Setup(**{"batch": 4, **how})  # type: ignore[arg-type]
    return trace_network(module.to("meta"), (3, 8, 8), setup, arch="net", stages=stage_names)


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


# --- what is changed in the module, on meta and for real ----------------------------------------------------


class Block(nn.Module):
    """A residual block that halves the resolution; its second activation takes a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 1)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.short = nn.Conv2d(8, 8, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.conv2(self.relu(self.conv1(x))))
        return self.relu(out + self.short(x))  # type: ignore[no-any-return]


def residual(drop: float = 0.3) -> nn.Sequential:
    dropout = partial(nn.Dropout, drop) if drop else nn.Identity
    body = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 3, padding=1), act=nn.LeakyReLU(), drop=dropout()))
    head = nn.Sequential(nn.Flatten(), nn.Linear(128, 16), nn.ReLU(), dropout(), nn.Linear(16, 10))
    return nn.Sequential(OrderedDict(body=body, block=Block(), head=head))


def changes(module: nn.Module, **how: object) -> Changes:
    setup = Setup(**{"batch": 4, **how})  # type: ignore[arg-type]
    return network_changes(module.to("meta"), (3, 8, 8), setup, arch="net", stages=stage_names)


HOW: list[dict[str, object]] = [
    {"checkpoint": "stages"},
    {"checkpoint": "stage1"},
    {"checkpoint": "stage2,classifier"},
    {"freeze": "backbone"},
    {"inplace": True},
    {"inplace": True, "checkpoint": "stages", "freeze": "body.*", "accumulate": 2, "zero_grad": "zero"},
]


@pytest.mark.parametrize("how", HOW)
def test_live_bytes_of_a_changed_module(how: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """At every mark of the same loop on the same changed module on the CPU.

    Left out are the states of random generators, which lie on the host, and dropout, whose fused kernel of
    CUDA keeps a mask of bytes where the CPU keeps one of floats.
    """
    module, accumulate = residual(drop=0), 2 if "accumulate" in how else 1
    loop = Loop(module, accumulate=accumulate, set_to_none="zero_grad" not in how)
    monkeypatch.setattr(checkpointing, "checkpoint", partial(checkpoint, preserve_rng_state=False))
    with changed(module, changes(residual(drop=0), **how)):
        real = since_input(real_marks(loop))
    divisor = 8 if accumulate > 1 else 0
    on_gpu = [(step, name, live - divisor * (name == "loss")) for step, name, live in real]
    assert since_input(traced_marks(trace(residual(drop=0), **how))) == on_gpu


@pytest.mark.parametrize("how", [how for how in HOW if "freeze" not in how])
def test_results_and_gradients_stay_the_same(how: dict[str, object]) -> None:
    """Checkpoints and activations in place change no bit, dropout and batch norm's averages included."""
    plain, other = residual(), residual()
    other.load_state_dict(plain.state_dict())
    made = changes(residual(), **how)
    torch.manual_seed(0)
    losses = Loop(plain).run()
    torch.manual_seed(0)
    with changed(other, made):
        assert Loop(other).run() == losses
    for (name, parameter), again in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert parameter.grad is not None, name
        assert again.grad is not None, name
        assert torch.equal(parameter.grad, again.grad), name
