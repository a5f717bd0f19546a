"""The reference loop on meta, against what torch itself allocates and against others' measurements."""

import itertools
from collections import Counter
from types import ModuleType

import pytest
import torch
from real_loop import Loop, real_marks, traced_marks
from torch import nn

from vggprof.errors import ArchError
from vggprof.trace import (
    Amp,
    Born,
    Dtype,
    Freed,
    Kind,
    Layout,
    Mark,
    Mode,
    Operator,
    Optimizer,
    Phase,
    Setup,
    Trace,
    is_channels_last,
)
from vggprof.trace.batches import BatchLine
from vggprof.tracing import trace_network


def small_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 3 * 3, 10)
    )


def trace(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8), **how: object) -> Trace:
    return trace_network(module.to("meta"), shape, Setup(**{"batch": 4, **how}), arch="net")  # type: ignore[arg-type]


def live_at_marks(trace: Trace, unit: int = 1) -> dict[tuple[int | None, str], int]:
    """Live bytes at every mark, each storage rounded up to *unit*."""
    return {(step, name): live for step, name, live in traced_marks(trace, unit)}


def named(trace: Trace, name: str, step: int = 0) -> list[Operator]:
    return [operator for operator in trace.step_operators(step) if operator.name == name]


def test_live_bytes_are_those_of_the_real_loop() -> None:
    """At every mark of two steps the CPU's allocator holds what the trace says, but for what was there."""
    real = {(step, name): live for step, name, live in real_marks(Loop(small_net()))}
    traced = live_at_marks(trace(small_net()))
    start = traced[0, "input"] - real[0, "input"]
    assert {mark: traced[mark] - start for mark in real} == real
    assert len(real) == 10


@pytest.mark.parametrize(
    ("net", "forward_bytes"),
    # Others' GPU measurements, batch 256, T4: github.com/RunbangZhang/ImageNet-Analysis-ResNet18-AlexNet.
    # AlexNet's 796,762,112 there includes 2,359,296 bytes of allocator slack, which is no tensor's.
    [("alexnet", 794_402_816), ("resnet18", 5_524_963_328)],
)
def test_forward_holds_what_gpus_measured(net: str, forward_bytes: int, torchvision: ModuleType) -> None:
    with torch.device("meta"):
        module = getattr(torchvision.models, net)()
    marks = live_at_marks(trace_network(module, (3, 224, 224), Setup(batch=256), arch=net), unit=512)
    assert marks[0, "output"] - marks[0, "input"] == forward_bytes


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [
        (Optimizer.SGD, 0),
        (Optimizer.MOMENTUM, 1),  # the velocity
        (Optimizer.RMSPROP, 1),  # the mean square
        (Optimizer.ADAGRAD, 1),  # the sum of squares
        (Optimizer.ADAM, 2),  # two moments
        (Optimizer.ADAMW, 2),
    ],
)
def test_optimizer_state_is_copies_of_the_parameters(optimizer: Optimizer, copies: int) -> None:
    traced = trace(small_net(), optimizer=optimizer)
    parameters = sum(p.numel() * 4 for p in small_net().parameters())
    state = sum(storage.nbytes for storage in traced.storages if storage.kind is Kind.OPTIMIZER)
    assert state == copies * parameters


def test_every_step_has_its_marks() -> None:
    steps = [
        (step, name) for step in range(3) for name in ("input", "output", "loss", "backward", "optimizer")
    ]
    assert list(live_at_marks(trace(small_net()))) == [(None, "model"), *steps]


def test_inference_ends_at_the_output_and_keeps_nothing() -> None:
    traced = trace(small_net(), mode=Mode.INFER)
    marks = live_at_marks(traced)
    assert list(marks) == [
        (None, "model"),
        *((step, name) for step in range(3) for name in ("input", "output")),
    ]
    assert marks[0, "output"] - marks[0, "input"] == 4 * 10 * 4  # the logits alone
    assert not [operator for operator in traced.operators if "backward" in operator.name]


def test_half_precision_inference_moves_in_single_and_then_halves() -> None:
    """Each parameter is born in fp32; then each is born in fp16 and its fp32 form freed, one by one."""
    traced = trace(small_net(), mode=Mode.INFER, dtype=Dtype.FP16)
    sizes = [p.numel() for p in small_net().parameters()]
    moved = list(itertools.takewhile(lambda event: not isinstance(event, Mark), traced.events))
    born = [traced.storages[event.storage].nbytes for event in moved if isinstance(event, Born)]
    assert born == [4 * n for n in sizes] + [2 * n for n in sizes]
    halving = moved[len(sizes) :]
    assert [type(event) for event in halving] == [Born, Freed] * len(sizes)


def test_no_weight_is_ever_allocated() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10**9))
    parameters = trace(module).parameters
    assert [parameter.elements for parameter in parameters] == [192 * 10**9, 10**9]


@pytest.mark.parametrize("layout", Layout)
def test_convolutions_keep_the_layout(layout: Layout) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 10)
    )
    traced = trace(module, layout=layout)
    forward = [operator.outputs[0] for operator in named(traced, "aten.convolution.default")]
    data_gradient = named(traced, "aten.convolution_backward.default")[0].outputs[0]
    expected = layout is Layout.CHANNELS_LAST
    assert len(forward) == 2
    assert all(is_channels_last(out.shape, out.strides) is expected for out in (*forward, data_gradient))


def test_moving_in_channels_last_takes_a_plain_copy_for_weights_whose_order_changes() -> None:
    """3x3 weights change their order; 1x1 weights and weights of one channel do not; nor do biases."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten())
    traced = trace(module, layout=Layout.CHANNELS_LAST)
    moved = list(itertools.takewhile(lambda event: not isinstance(event, Mark), traced.events))
    freed = [traced.storages[event.storage].nbytes for event in moved if isinstance(event, Freed)]
    assert freed == [4 * 3 * 9 * 4]


def test_the_first_layer_wants_no_data_gradient() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 10))
    masks = [op.argument("output_mask") for op in named(trace(module), "aten.convolution_backward.default")]
    assert masks == [(True, True, True), (False, True, True)]


def test_a_wrong_shape_names_the_layer_and_what_came_in() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(999, 10))
    with pytest.raises(ArchError, match=r"net: layer 2 \(Linear\), which got 4x144: .*999"):
        trace(module)


def test_a_network_without_logits_says_so() -> None:
    with pytest.raises(ArchError, match="must return logits"):
        trace(nn.Sequential(nn.Conv2d(3, 1, 8), nn.Flatten(0)))


def test_logits_with_pixels_get_labels_with_pixels() -> None:
    traced = trace(nn.Conv2d(3, 5, 3))
    labels = [storage for storage in traced.storages if storage.kind is Kind.INPUT][1]
    assert labels.nbytes == 4 * 6 * 6 * 8


@pytest.mark.parametrize("amp", Amp)
def test_events_are_consistent(amp: Amp) -> None:
    """Every storage is born once, freed at most once and never used dead; the ends of steps 2 and 3 agree."""
    traced = trace(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 9)),
        amp=amp,
    )
    events = Counter(traced.events)
    assert set(events.values()) == {1}
    born = [event.storage for event in traced.events if isinstance(event, Born)]
    freed = [event.storage for event in traced.events if isinstance(event, Freed)]
    assert born == list(range(len(traced.storages)))
    assert set(freed) < set(born)
    marks = live_at_marks(traced)
    assert marks[1, "optimizer"] == marks[2, "optimizer"] > 0


@pytest.mark.parametrize("amp", Amp)
@pytest.mark.parametrize("layout", Layout)
def test_two_batches_give_every_batch(amp: Amp, layout: Layout) -> None:
    def at(batch: int) -> Trace:
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 9),
        )
        return trace(module, batch=batch, amp=amp, layout=layout)

    assert BatchLine(at(2), at(4)).at(33) == at(33)


def test_channels_last_where_there_is_none_says_so() -> None:
    with pytest.raises(ArchError, match="net: channels_last: required rank 4 tensor"):
        trace(nn.Conv3d(3, 4, 3), (3, 8, 8, 8), layout=Layout.CHANNELS_LAST)


class Branches(nn.Module):
    """A residual sum and a concatenation: three gradients meet in the stem's output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.left = nn.Conv2d(4, 4, 3, padding=1)
        self.right = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(8 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        both = torch.cat([torch.relu(self.left(x)) + x, torch.relu(self.right(x))], 1)
        out: torch.Tensor = self.head(both.flatten(1))
        return out


def test_gradients_meet_in_place_as_in_the_real_backward_pass() -> None:
    """As many additions, in place and out of it, as torch itself runs on the CPU."""
    module = Branches()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as run:
        loss = nn.functional.cross_entropy(module(torch.zeros(4, 3, 8, 8)), torch.zeros(4, dtype=torch.int64))
        with torch.profiler.record_function("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
    events = run.events() or []
    began = next(event.time_range.start for event in events if event.name == "backward")
    real = Counter(event.name for event in events if event.time_range.start >= began)
    traced = Counter(op.name for op in trace(Branches()).step_operators(1) if op.phase is Phase.BACKWARD)
    assert (traced["aten.add_.Tensor"], traced["aten.add.Tensor"]) == (real["aten::add_"], real["aten::add"])
    assert real["aten::add_"] == 2


def test_inputs_arrive_one_by_one() -> None:
    """As in a script that binds x, then y: the old x is gone before the new y comes."""
    traced = trace(small_net())
    begins = [at for at, event in enumerate(traced.events) if isinstance(event, Mark)]
    step = traced.events[begins[5] + 1 : begins[6]]
    assert [type(event) for event in step] == [Born, Freed, Born, Freed]
