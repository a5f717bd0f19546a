"""What is easily counted wrong, counted right on modules that really run."""

from collections.abc import Callable

import pytest
import torch
from real_traces import INFER, TRAIN, row, spec_trace, table, traced
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from vggprof.analyzers import layer_table, tensor_memory
from vggprof.trace import Amp, Kind, Mode, Setup


def test_macs_are_neither_flops_nor_do_they_count_bias_relu_or_pooling() -> None:
    # VGG-16 at 224 x 224 has five published totals; convolutions and products alone are 15,470,264,320.
    totals = layer_table(spec_trace("vgg16", Setup(batch=1, mode=Mode.INFER))).totals
    assert totals.macs == 15_470_264_320
    assert totals.macs_backward == 0


def test_a_transposed_convolution_is_counted_at_its_input() -> None:
    # 2 samples x 8 x 8 inputs x 4 channels x (6 channels x 16 taps) = 49,152; at the 16 x 16 outputs 4 times
    # that. It is not the first layer, so backward makes both gradients.
    rows = table(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1)), (3, 8, 8)
    )
    assert row(rows, "1").output_shape == (2, 6, 16, 16)
    assert (row(rows, "1").macs, row(rows, "1").macs_backward) == (49_152, 2 * 49_152)


class Functional(nn.Module):
    """A convolution and a product that are functions, with weights of the container."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.matrix = nn.Parameter(torch.empty(4, 3, 3, 3)), nn.Parameter(torch.empty(256, 5))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.kernel, padding="same").flatten(1) @ self.matrix


def test_functions_count_like_modules() -> None:
    # Convolution: 2 x 64 pixels x 4 x 27 = 13,824; product: 2 x 256 x 5 = 2,560.
    rows = table(Functional, (3, 8, 8))
    assert {layer.name: layer.macs for layer in rows.rows if layer.macs} == {
        "conv2d": 13_824,
        "matmul": 2_560,
    }
    assert (row(rows, "conv2d").params, row(rows, "matmul").params) == (108, 1_280)
    assert rows.unexecuted == ()


class Shared(nn.Module):
    """One layer called twice, a second one tied to it, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.tied, self.idle = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 100)
        self.tied.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.tied(self.first(self.first(x)))
        return out


@pytest.mark.parametrize("setup", [TRAIN, INFER, Setup(batch=2, amp=Amp.FP16)], ids=["train", "infer", "amp"])
def test_shared_parameters_count_once_and_idle_ones_apart(setup: Setup) -> None:
    # first: 36 + 6; tied: its bias, 6. Every call costs 2 x 36 MACs. Idle: 700.
    rows = table(Shared, (6,), setup)
    assert [(layer.name, layer.params, layer.macs) for layer in rows.rows] == [
        ("first", 42, 72),
        ("first#2", 0, 72),
        ("tied", 6, 72),
    ]
    assert [parameter.name for parameter in rows.unexecuted] == ["idle.weight", "idle.bias"]
    assert (rows.totals.params, rows.totals.unexecuted_params) == (48 + 700, 700)


@pytest.mark.parametrize("setup", [TRAIN, INFER], ids=["train", "infer"])
def test_auxiliary_heads_are_executed_in_training_only(setup: Setup) -> None:
    # torchvision's table of weights: 6,624,904 parameters, without the heads.
    models = pytest.importorskip("torchvision.models")
    rows = table(lambda: models.googlenet(weights=None, init_weights=False), (3, 224, 224), setup)
    heads = {parameter.name.partition(".")[0] for parameter in rows.unexecuted}
    assert heads == (set() if setup.training else {"aux1", "aux2"})
    executed = rows.totals.params - rows.totals.unexecuted_params
    assert executed == (rows.totals.params if setup.training else 6_624_904)


def test_the_first_layer_needs_no_input_gradient() -> None:
    # AlexNet: 714,188,480 forward; backward twice that less conv1's 55 x 55 x 64 x 363 = 70,276,800 once.
    totals = layer_table(spec_trace("alexnet", Setup(batch=1))).totals
    assert totals.macs == 714_188_480
    assert totals.macs_backward == 2 * 714_188_480 - 70_276_800
    assert round(totals.macs_backward / totals.macs, 2) == 1.90


def test_groups_count_in_the_backward_pass() -> None:
    # Depthwise 3x3 over 32 channels, 16 x 16, 2 samples: 2 x 256 x 32 x 9 = 147,456, and twice that backward.
    rows = table(
        lambda: nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 3, padding=1, groups=32)), (3, 16, 16)
    )
    assert (row(rows, "1").macs, row(rows, "1").macs_backward) == (147_456, 294_912)
    # MobileNet v2: all convolutions but the first and the classifier have two gradients.
    mobile = layer_table(spec_trace("mobilenet_v2", Setup(batch=1))).totals
    assert 1.9 < mobile.macs_backward / mobile.macs < 2


def test_pooling_indices_and_dropout_masks_are_in_memory() -> None:
    # The pooling makes 2 x 4 x 4 x 4 = 128 results of 4 bytes, which nobody needs later, and as many indices
    # of 8; the dropout 128 results and as many bools. The convolution keeps 512 results for the pooling.
    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.MaxPool2d(2), nn.Dropout(), nn.Conv2d(4, 4, 1))

    rows = table(net, (3, 8, 8))
    assert [layer.saved_bytes for layer in rows.rows] == [2_048, 1_024, 512 + 128, 512]
    assert [layer.output_bytes for layer in rows.rows] == [2_048, 512, 512, 512]
    assert table(net, (3, 8, 8), INFER).totals.saved_bytes == 0


@pytest.mark.parametrize("inplace", [True, False])
def test_an_in_place_output_is_not_counted_twice(inplace: bool) -> None:
    # 2 x 4 x 64 numbers of 4 bytes = 2,048 each; in place the activation has no memory of its own. Not in
    # place the convolution's output is needed by nobody and dies.
    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace), nn.Conv2d(4, 4, 1))

    trace = traced(net, (3, 8, 8))
    rows = layer_table(trace)
    assert [layer.output_bytes for layer in rows.rows] == [2_048, 0 if inplace else 2_048, 2_048]
    assert rows.totals.saved_bytes == 2 * 2_048
    marks = {mark.phase: mark.allocated_bytes for mark in tensor_memory(trace).marks}
    assert marks["output"] - marks["input"] == 2 * 2_048


# memory_allocated over one forward pass at batch 256, fp32, in training, weights and input left out.
# ResNet-18: measured on a T4; AlexNet: measured on an A100 and a T4, less the allocator's unsplit rests.
@pytest.mark.parametrize(("name", "nbytes"), [("alexnet", 794_402_816), ("resnet18", 5_524_963_328)])
def test_bytes_kept_for_backward_are_those_that_others_measured(name: str, nbytes: int) -> None:
    trace = spec_trace(name, Setup(batch=256))
    marks = {mark.phase: mark.allocated_bytes for mark in tensor_memory(trace).marks}
    assert marks["output"] - marks["input"] == nbytes
    # The allocator's blocks are a little larger than the batch norms' statistics of 64 floats.
    saved = layer_table(trace).totals.saved_bytes
    assert saved <= nbytes
    assert nbytes - saved < 512 * len(trace.layers)


class Checkpointed(nn.Module):
    """A convolution, and a block of two layers that is run again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(self.body, self.stem(x), use_reentrant=False)
        return out


def test_recomputation_is_work_of_the_backward_pass() -> None:
    # body.0: 2 x 64 x 4 x 36 = 18,432; in backward once more, as tanh needs its result, and two gradients.
    rows = table(Checkpointed, (3, 8, 8))
    assert (row(rows, "body.0").macs, row(rows, "body.0").macs_backward) == (18_432, 3 * 18_432)


@pytest.mark.parametrize("amp", [Amp.FP16, Amp.BF16])
def test_casts_of_weights_are_memory_and_no_parameters(amp: Amp) -> None:
    # The weight's 12 x 4 + 4 numbers are cast to 2 bytes each, the input's 2 x 3 x 64 too; both are kept.
    rows = table(lambda: nn.Sequential(nn.Conv2d(3, 4, 2)), (3, 8, 8), Setup(batch=2, amp=amp))
    (conv,) = rows.rows
    assert conv.params == 52
    assert conv.saved_bytes == 2 * (52 + 2 * 3 * 64 + 2 * 4 * 49)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn", "googlenet"])
def test_only_input_and_loss_belong_to_no_layer(name: str) -> None:
    memory = tensor_memory(spec_trace(name, TRAIN, steps=3))
    assert sum(memory.breakdown_bytes.values()) == memory.peak.allocated_bytes
    homeless = {share.kind: share.allocated_bytes for share in memory.shares if share.layer is None}
    assert set(homeless) <= {Kind.INPUT, Kind.ACTIVATION, Kind.TEMPORARY}
    # Log-softmax, its gradient, the loss and three scalars around it: 2 x 1,000 floats each or one block.
    assert homeless[Kind.ACTIVATION] + homeless.get(Kind.TEMPORARY, 0) <= 2 * 8_192 + 4 * 512


def batches(make: Callable[[], nn.Module]) -> list[int]:
    return [table(make, (3, 8, 8), Setup(batch=batch)).totals.macs for batch in (1, 2, 5)]


def test_macs_follow_the_batch() -> None:
    one, two, five = batches(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(256, 3)))
    assert (two, five) == (2 * one, 5 * one)
