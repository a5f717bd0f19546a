"""Which layer an operator belongs to, forward and backward."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggprof.trace import Layer, Phase, Setup, Trace
from vggprof.tracing import trace_network


class Block(nn.Module):
    """A module with children that adds, pools and normalises on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.unused = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        out += x
        return functional.relu(self.conv(out)) * 2


class Net(nn.Module):
    """Blocks, a layer that runs nothing in inference, and a functional convolution with its own weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.second = Block()
        self.drop = nn.Dropout()
        self.weight = nn.Parameter(torch.zeros(2, 3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(self.drop(self.second(self.first(x))), self.weight).flatten(1)


def trace(**how: object) -> Trace:
    return trace_network(Net().to("meta"), (3, 8, 8), Setup(**{"batch": 2, **how}), arch="net")  # type: ignore[arg-type]


def test_calls_and_functions_are_layers_in_the_order_they_run() -> None:
    names = [layer.name for layer in trace().layers]
    block = ["conv", "add", "conv#2", "relu", "mul"]
    assert names == [f"{b}.{n}" for b in ("first", "second") for n in block] + ["drop", "conv2d", "flatten"]


def test_a_layer_knows_its_module_and_shapes() -> None:
    assert trace().layers[2] == Layer(
        name="first.conv#2",
        module="first.conv",
        op="Conv2d",
        input_shapes=((2, 3, 8, 8),),
        output_shape=(2, 3, 8, 8),
        training=True,
    )


def test_backward_belongs_to_the_layer_it_differentiates() -> None:
    traced = trace()
    forward = [
        op.layer
        for op in traced.step_operators(1)
        if op.phase is Phase.FORWARD and op.name == "aten.convolution.default"
    ]
    backward = [op.layer for op in traced.step_operators(1) if op.name == "aten.convolution_backward.default"]
    assert len(forward) == 5
    assert backward == forward[::-1]


def test_no_operator_of_the_network_is_homeless() -> None:
    homeless = [
        op.name
        for op in trace().operators
        if op.layer is None and op.phase in (Phase.FORWARD, Phase.BACKWARD)
    ]
    of_the_loss = {
        "aten.ones_like.default",
        "aten.nll_loss_backward.default",
        "aten._log_softmax_backward_data.default",
    }
    assert of_the_loss <= set(homeless)
    assert set(homeless) - of_the_loss <= {"aten.add.Tensor", "aten.add_.Tensor"}  # sums of gradients


def test_parameters_belong_to_the_layer_that_reads_them_first() -> None:
    traced = trace()
    owners = {p.name: traced.storages[p.storage].layer for p in traced.parameters}
    names = {name: None if layer is None else traced.layers[layer].name for name, layer in owners.items()}
    assert names == {
        "weight": "conv2d",
        "first.conv.weight": "first.conv",
        "first.conv.bias": "first.conv",
        "first.unused.weight": None,
        "first.unused.bias": None,
        "second.conv.weight": "second.conv",
        "second.conv.bias": "second.conv",
        "second.unused.weight": None,
        "second.unused.bias": None,
    }


def test_a_module_that_runs_nothing_is_still_a_layer() -> None:
    drop = next(layer for layer in trace(mode="infer").layers if layer.name == "drop")
    assert (drop.op, drop.output_shape, drop.training) == ("Dropout", (2, 3, 8, 8), False)
