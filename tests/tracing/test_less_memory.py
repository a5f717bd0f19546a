"""Ways of training that take less memory, against the same training for real on the CPU."""

from collections import OrderedDict
from functools import partial
from typing import Any

import pytest
import torch
from real_loop import Loop, Marks, real_marks, traced_marks
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vggprof.analyzers import layer_table
from vggprof.analyzers.stages import stage_names
from vggprof.errors import ArchError
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Amp, Born, Kind, Mode, Phase, Setup, Trace, ZeroGrad
from vggprof.trace.batches import BatchLine
from vggprof.tracing import checkpointing, trace_network
from vggprof.tracing.changes import Changes, changed
from vggprof.tracing.loop import network_changes


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )


def trace(module: nn.Module, **how: Any) -> Trace:  # noqa: ANN401 - any field of a setup
    setup = Setup(**{"batch": 4, **how})
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
def test_two_batches_give_every_batch(how: dict[str, Any], amp: Amp) -> None:
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


def changes(module: nn.Module, **how: Any) -> Changes:  # noqa: ANN401 - any field of a setup
    setup = Setup(**{"batch": 4, **how})
    return network_changes(module.to("meta"), (3, 8, 8), setup, arch="net", stages=stage_names)


HOW: list[dict[str, Any]] = [
    {"checkpoint": "stages"},
    {"checkpoint": "stage1"},
    {"checkpoint": "stage2,classifier"},
    {"freeze": "backbone"},
    {"inplace": True},
    {"inplace": True, "checkpoint": "stages", "freeze": "body.*", "accumulate": 2, "zero_grad": "zero"},
]


@pytest.mark.parametrize("how", HOW)
def test_live_bytes_of_a_changed_module(how: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_results_and_gradients_stay_the_same(how: dict[str, Any]) -> None:
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


def two_stages() -> nn.Sequential:
    first = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.MaxPool2d(2)
    return nn.Sequential(*first, nn.Conv2d(8, 8, 2), nn.Flatten(), nn.Linear(32, 10))


# --- what runs in place -------------------------------------------------------------------------------------


class Held(nn.Module):
    """Activations that must not run in place, for one reason each, and one that may."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.read_again = nn.ReLU()
        self.saved = nn.ReLU()
        self.of_parts = nn.ReLU()
        self.of_input = nn.ReLU()
        self.backwards = nn.LeakyReLU(-0.1)
        self.fine = nn.ELU()
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0 * self.of_input(x)  # the user's own tensor
        y = self.conv(x)
        y = y * self.read_again(y)  # the product takes it too
        z = torch.sigmoid(y)
        y = self.saved(z) + y  # the sigmoid's gradient is made of its output
        first, second = y.chunk(2, 1)
        y = torch.cat([self.of_parts(first), second], 1)  # views of one tensor
        y = self.backwards(y + 1)  # torch knows no gradient of this in place
        out: Tensor = self.head(self.fine(y + 1).flatten(1))
        return out


def test_only_what_nobody_else_reads_is_overwritten() -> None:
    assert changes(Held(), inplace=True).in_place == ("fine",)


def test_a_view_is_not_overwritten() -> None:
    """Autograd would copy gradients for it (CopySlices)."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(4 * 36, 10))
    assert changes(module, inplace=True).in_place == ()


class Returned(nn.Module):
    """A network that gives back what its activation takes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = nn.ReLU()
        self.head = nn.Linear(4 * 36, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(x)
        return self.head(self.act(y).flatten(1)), y


class Remembered(Returned):
    """A network that keeps what its activation takes."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        out, self.seen = super().forward(x)
        return out


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("module", [Returned, Remembered])
def test_what_somebody_holds_is_not_overwritten(module: type[nn.Module], mode: Mode) -> None:
    assert changes(module(), inplace=True, mode=mode).in_place == ()


def test_a_checkpoint_needs_what_it_takes() -> None:
    """The first activation takes what comes into the second stage, and is run again from there."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.LeakyReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten()
    )
    module.append(nn.Linear(4, 10))
    assert changes(module, inplace=True).in_place == ("2", "4")
    made = changes(module, inplace=True, checkpoint="stage2")
    assert (made.segments, made.in_place) == ((("2", "3", "4", "5"),), ("4",))


# --- what is frozen -----------------------------------------------------------------------------------------


def test_the_backbone_is_all_but_the_linear_layers_at_the_end() -> None:
    frozen = changes(residual(), freeze="backbone").frozen
    assert {name.split(".")[0] for name in frozen} == {"body", "block"}
    convolutional = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 10, 6), nn.Flatten())
    assert changes(convolutional, freeze="backbone").frozen == ("0.weight", "0.bias")


def test_frozen_parameters_have_neither_gradients_nor_state() -> None:
    traced = trace(net(), freeze="0.*,1.*")
    assert [p.name for p in traced.parameters if not p.trainable and not p.buffer] == [
        "0.weight", "0.bias", "1.weight", "1.bias"
    ]  # fmt: skip
    linear = 72 * 10 * 4 + 10 * 4
    for kind in (Kind.GRADIENT, Kind.OPTIMIZER):
        steps = 3 if kind is Kind.GRADIENT else 1
        assert sum(s.nbytes for s in traced.storages if s.kind is kind) == steps * linear


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"freeze": "conv*"}, r"no parameter is called 'conv\*'; there are 0.weight, 0.bias, 1.weight"),
        ({"freeze": "*"}, "leaves nothing to train"),
        ({"checkpoint": "stage9"}, "no stage is called 'stage9'; there are stage1, stage2, classifier"),
    ],
)
def test_what_names_nothing_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchError, match=message):
        trace(two_stages(), **how)


# --- what is recomputed -------------------------------------------------------------------------------------


class Loose(nn.Module):
    """A network whose own code stands between its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.two(torch.relu(self.one(x))).flatten(1))
        return out


class Twice(Loose):
    """A module that is called two times."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.two(self.two(self.one(x))).flatten(1))
        return out


class Kept(Loose):
    """A module whose result is returned, too."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        one = self.one(x)
        return self.head(self.two(one).flatten(1)), one


class Beside(Loose):
    """Two modules that take the same, of which one's result is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.two = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        self.one(x)
        out: Tensor = self.head(self.two(x).flatten(1))
        return out


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Beside, "two does not take what one gives"),
        (Loose, "the network itself calls relu between its modules"),
        (Twice, "two is called more than once"),
        (Kept, "what one gives is held on to"),
    ],
)
def test_what_is_no_chain_is_not_checkpointed(module: type[nn.Module], reason: str) -> None:
    with pytest.raises(ArchError, match=f"net: stage1 cannot be checkpointed: {reason}"):
        trace(module(), checkpoint="stage1")


class Across(nn.Module):
    """A stage of lower resolution, across which a tensor of the stage before it is carried."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 4, 2, stride=2)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 4, 3, padding=1)
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.up(self.down(x))], 1)
        out: Tensor = self.head(self.out(x).flatten(1))
        return out


def test_a_stage_across_which_another_tensor_goes_is_not_checkpointed() -> None:
    with pytest.raises(ArchError, match="stage2 cannot be checkpointed: no single tensor leads from it"):
        trace(Across(), checkpoint="stage2")


@pytest.mark.parametrize("amp", Amp)
def test_checkpoints_and_all_else_give_every_batch(amp: Amp) -> None:
    how: dict[str, Any] = {"checkpoint": "stages", "inplace": True, "freeze": "body.*", "amp": amp}
    low, high, other = (trace(residual(), batch=batch, **how) for batch in (2, 4, 33))
    assert BatchLine(low, high).at(33) == other


@pytest.mark.parametrize("net", ["lenet5", "resnet18"])
def test_recomputation_adds_its_macs_to_the_backward_pass(net: str) -> None:
    """Every layer of a stage has its forward MACs once more in the backward pass."""
    network = load(parse_arch(net))
    plain, again = (
        layer_table(
            trace_network(
                network.module, network.input_shape, Setup(checkpoint=how), arch=net, stages=stage_names
            )
        )
        for how in (None, "stages")
    )
    assert [row.name for row in plain.rows] == [row.name for row in again.rows]
    extra = {
        row.name: more.macs_backward - row.macs_backward
        for row, more in zip(plain.rows, again.rows, strict=True)
    }
    assert {name: macs for name, macs in extra.items() if macs} == {
        row.name: row.macs for row in plain.rows if row.macs and row.stage != "classifier"
    }
