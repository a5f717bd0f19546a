"""Longer traces from short ones are those that tracing makes; what does not repeat itself is refused."""

from dataclasses import replace

import pytest

from vggprof.analyzers.stages import stage_names
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import (
    Amp,
    Argument,
    Born,
    Freed,
    Kind,
    Layout,
    Mode,
    Optimizer,
    Setup,
    Storage,
    Trace,
    ZeroGrad,
)
from vggprof.trace.repeats import NotRepeatingError, repeated
from vggprof.tracing import trace_network

STEPS = 3
SETUPS = [
    Setup(batch=4),
    Setup(batch=4, amp=Amp.FP16, optimizer=Optimizer.ADAMW),
    Setup(batch=4, optimizer=Optimizer.SGD, zero_grad=ZeroGrad.ZERO, freeze="backbone"),
    Setup(batch=4, checkpoint="stages", inplace=True, layout=Layout.CHANNELS_LAST, amp=Amp.BF16),
    Setup(batch=4, mode=Mode.INFER),
]
NETS = ["lenet5", "vgg11_bn@classes=10,input=3x32x32"]


def traced(arch: str, setup: Setup, steps: int) -> Trace:
    network = load(parse_arch(arch))
    return trace_network(
        network.module, network.input_shape, setup, arch=arch, steps=steps, stages=stage_names
    )


def without_numbers(trace: Trace) -> Trace:
    """Take out what the docstring says may differ: numbers that depend on how often something is done."""

    def kept(value: Argument) -> Argument:
        if isinstance(value, tuple):
            return tuple(map(kept, value))
        return 0.0 if isinstance(value, float) else value

    operators = [
        replace(
            operator,
            arguments=tuple(
                (name, 0 if operator.name == "aten.div.Tensor" else kept(value))
                for name, value in operator.arguments
            ),
        )
        for operator in trace.operators
    ]
    return replace(trace, operators=tuple(operators))


@pytest.mark.parametrize("arch", NETS)
@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: f"{setup.mode}-{setup.amp}-{setup.optimizer}")
def test_repeated_is_what_is_traced(arch: str, setup: Setup) -> None:
    for pieces in (1, 2, 5) if setup.training else (1,):
        wanted = replace(setup, accumulate=pieces)
        short = traced(arch, replace(setup, accumulate=min(pieces, 2)), 2)
        longer = repeated(short, steps=STEPS, accumulate=pieces)
        assert longer.steps == STEPS
        assert without_numbers(longer) == without_numbers(traced(arch, wanted, STEPS))


def test_nothing_but_two_is_repeated() -> None:
    short = traced("lenet5", Setup(batch=4), 2)
    for trace, pieces in ((traced("lenet5", Setup(batch=4), STEPS), 1), (short, 2)):
        with pytest.raises(NotRepeatingError, match="two steps"):
            repeated(trace, steps=STEPS, accumulate=pieces)


def test_what_grows_from_step_to_step_is_refused() -> None:
    """A storage that the second step makes and nobody frees: no step is like the one before."""
    short = traced("lenet5", Setup(batch=4), 2)
    kept = Storage(512, Kind.ACTIVATION, None, None)
    grows = replace(
        short,
        storages=(*short.storages, kept),
        events=(*short.events[:-1], Born(len(short.storages)), short.events[-1]),
    )
    with pytest.raises(NotRepeatingError, match="does not end with what it began with"):
        repeated(grows, steps=STEPS)


def test_what_takes_the_place_of_something_larger_is_refused() -> None:
    short = traced("lenet5", Setup(batch=4), 2)
    last = max(event.storage for event in short.events if isinstance(event, Born))
    freed = {event.storage for event in short.events if isinstance(event, Freed)}
    stays = max(set(range(last + 1)) - freed)
    storages = list(short.storages)
    storages[stays] = replace(storages[stays], nbytes=storages[stays].nbytes + 512)
    with pytest.raises(NotRepeatingError):
        repeated(replace(short, storages=tuple(storages)), steps=STEPS)


def test_a_network_that_runs_otherwise_the_second_time_is_refused() -> None:
    short = traced("lenet5", Setup(batch=4), 2)
    at = next(n for n, op in enumerate(short.operators) if op.step == 1 and "convolution" in op.name)
    operators = list(short.operators)
    operators[at] = replace(operators[at], name="aten.other.default")
    with pytest.raises(NotRepeatingError, match="does not run the same"):
        repeated(replace(short, operators=tuple(operators)), steps=STEPS)
