"""Live modules: traced with their own inputs, loss or step, and left as they were."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vggprof.errors import ArchError
from vggprof.trace import Dtype, Kind, Layout, Mark, Mode, Optimizer, Phase, Setup, Trace
from vggprof.tracing import LiveLoop, trace_module


class Counting(nn.Module):
    """A module of two inputs that writes into itself as it runs; its two layers share their weight."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 4)
        self.right = nn.Linear(4, 4)
        self.right.weight = self.left.weight
        self.norm = nn.BatchNorm1d(4)
        self.calls = 0

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.calls += 1
        out: Tensor = self.norm(self.left(a) + self.right(b))
        return out


def phases(trace: Trace, step: int = 0) -> list[Phase]:
    return [event.phase for event in trace.events if isinstance(event, Mark) and event.step == step]


def test_the_module_is_left_as_it_was() -> None:
    module = Counting().eval()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    weight = module.left.weight
    trace_module(module, (torch.zeros(2, 4), torch.zeros(2, 4)), LiveLoop())
    assert module.calls == 0
    assert not module.training
    assert module.left.weight is weight is module.right.weight
    assert weight.grad is None
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


def test_it_is_left_as_it_was_when_it_cannot_run() -> None:
    module = Counting()
    with pytest.raises(ArchError, match=r"Counting: layer left \(Linear\), which got 2x5"):
        trace_module(module, (torch.zeros(2, 5), torch.zeros(2, 4)), LiveLoop())
    assert module.left.weight.device.type == "cpu"
    assert module.calls == 0


def test_several_inputs_arrive_in_every_step() -> None:
    traced = trace_module(Counting(), (torch.zeros(2, 4), torch.zeros(2, 4)), LiveLoop())
    arrived = [storage.nbytes for storage in traced.storages if storage.kind is Kind.INPUT]
    assert arrived == [2 * 4 * 4, 2 * 4 * 4, 2 * 8] * 3
    assert traced.setup.batch == 2


def test_shared_weights_are_one_storage() -> None:
    traced = trace_module(Counting(), (torch.zeros(2, 4), torch.zeros(2, 4)), LiveLoop())
    assert [p.name for p in traced.parameters if not p.buffer] == [
        "left.weight",
        "left.bias",
        "right.bias",
        "norm.weight",
        "norm.bias",
    ]


def test_a_loss_gets_the_output_and_the_targets() -> None:
    def loss(out: Tensor, target: Tensor) -> Tensor:
        return (out - target).square().mean()

    how = LiveLoop(targets=(torch.zeros(2, 4),), loss=loss)
    traced = trace_module(nn.Linear(4, 4), (torch.zeros(2, 4),), how)
    in_loss = [op.name for op in traced.step_operators(0) if op.phase is Phase.LOSS]
    assert in_loss == ["aten.sub.Tensor", "aten.pow.Tensor_Scalar", "aten.mean.default"]


def test_a_step_of_ones_own_has_the_phases_of_what_it_does() -> None:
    def step(module: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
        optimizer.zero_grad()
        for half in x.chunk(2):
            module(half).square().mean().backward()
        optimizer.step()

    how = LiveLoop(step=step, optimizer=torch.optim.AdamW)
    traced = trace_module(nn.Linear(4, 4), (torch.zeros(2, 4),), how)
    once = [Phase.FORWARD, Phase.LOSS, Phase.BACKWARD]
    assert phases(traced) == [Phase.INPUT, *once, *once, Phase.OPTIMIZER]
    assert traced.setup.optimizer is Optimizer.CUSTOM
    gradients = [storage.nbytes for storage in traced.storages if storage.kind is Kind.GRADIENT]
    assert sorted(gradients) == [16, 16, 16, 64, 64, 64]  # one of each in each of the three steps


def test_inference_of_a_live_module() -> None:
    traced = trace_module(nn.Linear(4, 4), (torch.zeros(2, 4),), LiveLoop(mode=Mode.INFER))
    assert phases(traced) == [Phase.INPUT, Phase.FORWARD]


def test_the_setup_says_what_the_module_is() -> None:
    """Half a module in inference is fp16; what no setup names is its own; weights show their order."""

    def setup(module: nn.Module, dtype: torch.dtype, **how: Any) -> Setup:  # noqa: ANN401 - as in LiveLoop
        return trace_module(module, (torch.zeros(2, 3, 8, 8, dtype=dtype),), LiveLoop(**how)).setup

    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))

    plain = setup(net(), torch.float32)
    assert (plain.dtype, plain.layout) == (Dtype.FP32, Layout.CONTIGUOUS)
    assert setup(net().half(), torch.float16, mode=Mode.INFER).dtype is Dtype.FP16
    assert setup(net().half(), torch.float16).dtype is Dtype.CUSTOM
    assert setup(net().to(torch.bfloat16), torch.bfloat16).dtype is Dtype.CUSTOM
    turned = net().to(memory_format=torch.channels_last)
    assert setup(turned, torch.float32).layout is Layout.CHANNELS_LAST
