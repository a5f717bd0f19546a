"""The timeline of tensors: by hand, and as properties of any trace."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_traces import TRAIN, spec_trace
from trace_builder import TraceBuilder

from vggprof.analyzers import Peak, Share, block_bytes, live_series, tensor_memory
from vggprof.trace import Born, Event, Freed, Kind, Mark, Optimizer, Phase, Setup, Storage, Trace


@pytest.mark.parametrize(
    ("asked", "set_aside"), [(0, 0), (1, 512), (512, 512), (513, 1024), (10**12, 10**12)]
)
def test_blocks_are_multiples_of_512(asked: int, set_aside: int) -> None:
    # 10^12 = 512 x 1,953,125,000.
    assert block_bytes(asked) == set_aside


def by_hand() -> Trace:
    """Return one step: weights of 1,000 bytes, input 512, activation 2,048, gradients, state, scratch."""
    trace = TraceBuilder()
    weight = trace.parameter("conv.weight", (250,))  # 1,000 bytes in a block of 1,024
    conv = trace.layer("conv", "Conv2d", (2, 64), (2, 256))
    trace.storages[weight.storage] = replace(trace.storages[weight.storage], layer=conv)
    trace.mark(Phase.MODEL)
    x = trace.tensor((2, 64), Kind.INPUT)  # 512
    trace.mark(Phase.INPUT)
    (y,) = trace.run(
        "aten.convolution.default", [("input", x), ("weight", weight)], (2, 256), layer=conv
    )  # 2,048
    trace.mark(Phase.FORWARD)
    trace.phase = Phase.LOSS
    (loss,) = trace.run("aten.mean.default", [("self", y)], ())  # 4 bytes in 512
    trace.mark(Phase.LOSS)
    trace.phase = Phase.BACKWARD
    (dy,) = trace.run("aten.expand_copy.default", [("self", loss)], (2, 256), layer=conv, kind=Kind.TEMPORARY)
    (dw,) = trace.run(
        "aten.convolution_backward.default", [("grad_output", dy)], (250,), layer=conv, kind=Kind.GRADIENT
    )
    trace.free(dy)
    trace.free(y)
    trace.mark(Phase.BACKWARD)
    trace.phase = Phase.OPTIMIZER
    trace.run("aten.zeros_like.default", [("self", weight)], (250,), kind=Kind.OPTIMIZER)
    trace.run(
        "aten._foreach_mul.Scalar", [("self", dw), ("self", weight)], (250,), (250,), kind=Kind.TEMPORARY
    )
    trace.mark(Phase.OPTIMIZER)
    return trace.build()


def test_marks_by_hand() -> None:
    memory = tensor_memory(by_hand())
    assert [(mark.step, mark.phase, mark.allocated_bytes) for mark in memory.marks] == [
        (None, "model", 1_024),
        (0, "input", 1_536),
        (0, "output", 3_584),
        (0, "loss", 4_096),
        (0, "backward", 3_072),  # weight 1,024, input 512, loss 512, gradient 1,024
        (0, "optimizer", 6_144),  # and three times 1,024
    ]


def test_the_peak_is_in_backward_where_the_activation_and_its_gradient_live() -> None:
    # 4,096 before, and the gradients of the activation, 2,048, and of the weight, 1,024: 7,168.
    memory = tensor_memory(by_hand())
    assert memory.peak == Peak(7_168, 0, Phase.BACKWARD, "conv", "aten.convolution_backward.default")
    assert memory.shares == (
        Share(None, Kind.INPUT, 512),
        Share(None, Kind.ACTIVATION, 512),  # the loss
        Share("conv", Kind.PARAMETER, 1_024),
        Share("conv", Kind.GRADIENT, 1_024),
        Share("conv", Kind.ACTIVATION, 2_048),
        Share("conv", Kind.TEMPORARY, 2_048),
    )
    assert memory.breakdown_bytes == {
        Kind.PARAMETER: 1_024,
        Kind.BUFFER: 0,
        Kind.GRADIENT: 1_024,
        Kind.OPTIMIZER: 0,
        Kind.INPUT: 512,
        Kind.ACTIVATION: 2_560,
        Kind.TEMPORARY: 2_048,
    }
    assert memory.layer_bytes == {None: 1_024, "conv": 6_144}


def test_the_first_of_equal_peaks_counts() -> None:
    trace = TraceBuilder()
    first = trace.tensor((128,), Kind.INPUT)
    trace.mark(Phase.INPUT)
    trace.free(first)
    trace.run("aten.ones.default", [], (128,))
    trace.mark(Phase.FORWARD)
    assert tensor_memory(trace.build()).peak == Peak(512, 0, Phase.INPUT, None, None)


def test_an_empty_trace_has_an_empty_peak() -> None:
    memory = tensor_memory(TraceBuilder().build())
    assert memory.peak == Peak(0, None, Phase.MODEL, None, None)
    assert (memory.marks, memory.shares) == ((), ())


TENSORS_A_PARAMETER = {
    Optimizer.SGD: 0,
    Optimizer.MOMENTUM: 1,
    Optimizer.ADAM: 2,
    Optimizer.ADAMW: 2,
    Optimizer.RMSPROP: 1,
    Optimizer.ADAGRAD: 1,
}


@pytest.mark.parametrize(("optimizer", "tensors"), TENSORS_A_PARAMETER.items())
def test_optimizer_state_belongs_to_the_layer_of_its_parameters(optimizer: Optimizer, tensors: int) -> None:
    trace = spec_trace("lenet5", Setup(batch=1, optimizer=optimizer), steps=2)
    memory = tensor_memory(trace)
    state = {share.layer: share.allocated_bytes for share in memory.shares if share.kind is Kind.OPTIMIZER}
    weights = {share.layer: share.allocated_bytes for share in memory.shares if share.kind is Kind.PARAMETER}
    assert list(weights) == [layer.name for layer in trace.layers if layer.op in ("Conv2d", "Linear")]
    assert state == ({layer: tensors * nbytes for layer, nbytes in weights.items()} if tensors else {})


@st.composite
def timelines(draw: st.DrawFn) -> Trace:
    """Draw a trace in which storages are born and freed in any sensible order, with marks between."""
    storages: list[Storage] = []
    events: list[Event] = []
    alive: list[int] = []
    step = 0
    for _ in range(draw(st.integers(0, 30))):
        action = draw(st.sampled_from(["born", "born", "free", "mark"]))
        if action == "born":
            storages.append(Storage(draw(st.integers(0, 5000)), draw(st.sampled_from(Kind)), None, None))
            alive.append(len(storages) - 1)
            events.append(Born(alive[-1]))
        elif action == "free" and alive:
            events.append(Freed(alive.pop(draw(st.integers(0, len(alive) - 1)))))
        else:
            events.append(Mark(step, Phase.OPTIMIZER))
            step += 1
    return replace(TraceBuilder().build(), storages=tuple(storages), events=tuple(events))


@given(timelines())
def test_what_lives_is_never_negative_and_the_breakdown_sums_to_the_peak(trace: Trace) -> None:
    memory = tensor_memory(trace)
    series = list(live_series(trace))
    assert all(nbytes >= 0 for live in series for nbytes in live.by_kind)
    assert memory.peak.allocated_bytes == max((sum(live.by_kind) for live in series), default=0)
    assert sum(memory.breakdown_bytes.values()) == memory.peak.allocated_bytes
    assert sum(memory.layer_bytes.values()) == memory.peak.allocated_bytes
    assert sum(share.allocated_bytes for share in memory.shares) == memory.peak.allocated_bytes
    assert all(mark.allocated_bytes <= memory.peak.allocated_bytes for mark in memory.marks)
    at = {live.event: sum(live.by_kind) for live in series}
    ends = [number for number, event in enumerate(trace.events) if isinstance(event, Mark)]
    for end, mark in zip(ends, memory.marks, strict=True):
        assert mark.allocated_bytes == next((at[n] for n in range(end, -1, -1) if n in at), 0)


def test_steps_end_where_they_began() -> None:
    memory = tensor_memory(spec_trace("resnet18", TRAIN, steps=3))
    ends = [mark.allocated_bytes for mark in memory.marks if mark.phase == "optimizer"]
    assert len(ends) == 3
    assert ends[1] == ends[2]
    assert sum(memory.breakdown_bytes.values()) == memory.peak.allocated_bytes
    assert memory.peak.op is not None
