"""What the peak is made of, by layer and cause: by hand, and the same as what others make of it."""

from dataclasses import replace
from math import log, prod

import pytest

from vggprof import Target, api
from vggprof.analyzers import tensor_memory
from vggprof.compare import Cause, Quantity, compare, profile, profile_on
from vggprof.compare.peak import PeakShare, tensor_shares
from vggprof.devices import Survey
from vggprof.errors import UsageError
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.report import report
from vggprof.trace import (
    Born,
    Event,
    Freed,
    Kind,
    Layer,
    Mark,
    Mode,
    Operand,
    Operator,
    Parameter,
    Phase,
    Ran,
    Setup,
    Shape,
    Storage,
    Trace,
)
from vggprof.trace.traces import Traces


def pooled(setup: Setup) -> Trace:
    """Return a convolution whose output is given up, and a pooling that keeps its indices; two images."""
    wide, narrow = (2, 1, 8, 8), (2, 1, 4, 4)
    storages = (
        Storage(4, Kind.PARAMETER, 0, None),
        Storage(512, Kind.INPUT, None, None),
        Storage(512, Kind.ACTIVATION, 0, 0),
        Storage(128, Kind.ACTIVATION, 1, 1),
        Storage(256, Kind.ACTIVATION, 1, 1),
    )
    weight, image = operand("weight", 0, (1, 1, 1, 1)), operand("input", 1, wide)
    convolved, pooled = operand("out", 2, wide), operand("out", 3, narrow)
    indices = operand("out", 4, narrow, dtype="int64")
    operators = (
        operator("aten.convolution.default", 0, (image, weight), (convolved,)),
        operator(
            "aten.max_pool2d_with_indices.default", 1, (replace(convolved, name="self"),), (pooled, indices)
        ),
    )
    layers = (
        Layer("conv", "conv", "Conv2d", (wide,), wide, setup.training),
        Layer("pool", "pool", "MaxPool2d", (wide,), narrow, setup.training),
    )
    marks = {phase: Mark(None if phase is Phase.MODEL else 0, phase) for phase in Phase}
    events: tuple[Event, ...] = (
        *(Born(0), marks[Phase.MODEL], Born(1), marks[Phase.INPUT]),
        *(Ran(0), Born(2), Ran(1), Born(3), Born(4), Freed(2), marks[Phase.FORWARD]),
    )
    parameters = (Parameter("conv.weight", (1, 1, 1, 1), "float32", 0, trainable=True, buffer=False),)
    return Trace("by hand", setup, "none", layers, parameters, storages, operators, events)


def operand(name: str, storage: int, shape: Shape, *, dtype: str = "float32") -> Operand:
    strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Operand(name, storage, shape, strides, dtype)


def operator(name: str, layer: int, inputs: tuple[Operand, ...], outputs: tuple[Operand, ...]) -> Operator:
    return Operator(name, 0, Phase.FORWARD, layer, inputs, outputs, ())


def test_the_peak_by_hand() -> None:
    # In blocks of 512 bytes: 4 of weight, 512 of images, 512 of the convolution's output, which is gone when
    # the forward pass ends, 128 of pooled numbers, 256 of their indices.
    assert tensor_shares(pooled(Setup(batch=2))) == (
        PeakShare("conv", Cause.PARAMETERS, 512),
        PeakShare(None, Cause.INPUT, 512),
        PeakShare("conv", Cause.PASSING_ACTIVATIONS, 512),
        PeakShare("pool", Cause.SAVED_ACTIVATIONS, 512),
        PeakShare("pool", Cause.POOLING_INDICES, 512),
    )


def test_inference_saves_nothing() -> None:
    shares = tensor_shares(pooled(Setup(batch=2, mode=Mode.INFER)))
    assert {share.cause for share in shares if share.layer == "pool"} == {
        Cause.PASSING_ACTIVATIONS,
        Cause.POOLING_INDICES,
    }


def test_every_kind_of_storage_has_its_cause() -> None:
    for kind in set(Kind) - {Kind.ACTIVATION}:
        trace = pooled(Setup(batch=2))
        storages = tuple(replace(storage, kind=kind) for storage in trace.storages)
        assert {share.cause.value for share in tensor_shares(replace(trace, storages=storages))} == {
            kind.value
        }


@pytest.mark.parametrize("setup", [Setup(batch=4), Setup(batch=4, mode=Mode.INFER)])
@pytest.mark.parametrize("arch", ["alexnet", "resnet18"])
def test_shares_are_those_of_the_analyzer(arch: str, setup: Setup) -> None:
    trace = api.trace_arch(arch, setup)
    shares, memory = tensor_shares(trace), tensor_memory(trace)
    by_layer = {layer: sum(s.nbytes for s in shares if s.layer == layer) for layer in memory.layer_bytes}
    assert by_layer == memory.layer_bytes
    assert sum(share.nbytes for share in shares) == memory.peak.allocated_bytes
    assert {share.cause for share in shares} >= {Cause.PARAMETERS, Cause.INPUT}


@pytest.fixture
def _no_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here and no cuDNN to ask, so that workspaces are at the high end of their ranges."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())


@pytest.mark.usefixtures("_no_cudnn")
def test_on_a_card_shares_are_what_it_reserves() -> None:
    target = Target(gpu="h200", torch="2.15", allocator="")
    (card,) = target.cards()
    with Forecast(Traces(lambda b: api.trace_arch("lenet5", Setup(batch=b))), target.software()) as forecast:
        found = profile_on(forecast, 8, card, search=False)
        composition = report(forecast, 8, (Card(card.device),), search=False).composition
        latency = api.latency("lenet5", Setup(batch=8), target).single
    assert composition is not None
    assert latency is not None
    assert found.times is not None
    assert found.times.layer_ms == {layer.name: layer.total_ms for layer in latency.layers}
    sums = {cause: sum(s.nbytes for s in found.shares if s.cause is cause) for cause in Cause}
    assert sum(sums.values()) == found.peak_reserved_bytes
    assert sum(sums.values()) - sums[Cause.FRAGMENTATION] == found.peak_allocated_bytes
    activations = (Cause.SAVED_ACTIVATIONS, Cause.PASSING_ACTIVATIONS, Cause.POOLING_INDICES)
    breakdown = composition.breakdown_bytes
    assert sum(sums[cause] for cause in activations) == breakdown["activations"]
    for kind in ("parameters", "gradients", "input", "workspaces", "slack", "optimizer_state"):
        assert sums[Cause(kind)] == breakdown[kind]


@pytest.mark.usefixtures("_no_cudnn")
def test_comparison_on_a_card_and_on_none() -> None:
    setup = Setup(batch=4)
    target = Target(gpu="h200", torch="2.15")
    found = api.compare(["lenet5", "lenet5@classes=100"], setup, target)
    assert "H200" in (found.gpu or "")
    for arch in found.archs:
        memory = api.memory(arch.name, setup, target).single
        latency = api.latency(arch.name, setup, target).single
        assert memory is not None
        assert latency is not None
        assert arch.largest_batch == memory.largest_batch
        assert arch.step_ms == latency.step.likely
        assert arch.peak_reserved_bytes == memory.prediction.shown.peak_reserved_bytes
        assert arch.peak_allocated_bytes == memory.prediction.shown.peak_allocated_bytes
    (against,) = found.against
    splits = {split.quantity: split for split in against.splits}
    assert set(splits) == set(Quantity)
    for split in splits.values():
        assert split.ratio == getattr(found.ratios[1], split.quantity.value)
        assert sum(part.value for part in split.parts) == pytest.approx(log(split.ratio or 0), abs=1e-9)
    said = {finding.id: finding.text for finding in against.findings}
    first, second = found.archs
    assert said["largest_batch"].startswith(
        f"The largest batch that fits is {second.largest_batch:,} with {second.name}, "
        f"and {first.largest_batch:,} with {first.name}: "
    )
    assert said["peak_ratio"].startswith(f"At its peak {second.name} reserves ")
    quantities = {difference.quantity for difference in against.differences}
    assert {"peak_allocated_bytes", "peak_reserved_bytes"} <= quantities
    for quantity in ("peak_allocated_bytes", "peak_reserved_bytes"):
        more = sum(d.value for d in against.differences if d.quantity == quantity)
        assert more == getattr(found.archs[1], quantity) - getattr(found.archs[0], quantity)
    alone = api.compare(["lenet5", "lenet5@classes=100"], setup)
    assert (alone.gpu, alone.archs[0].largest_batch, alone.archs[0].peak_reserved_bytes) == (None,) * 3


@pytest.mark.usefixtures("_no_cudnn")
def test_a_card_for_one_only_is_no_comparison() -> None:
    (card,) = Target(gpu="h200").cards()
    with Forecast(
        Traces(lambda b: api.trace_arch("lenet5", Setup(batch=b))), Target().software()
    ) as forecast:
        one = profile_on(forecast, 4, card, search=False)
    with pytest.raises(UsageError, match="same card"):
        compare([one, profile(api.trace_arch("lenet5", Setup(batch=4)))])
