"""Host and GPU, two clocks: by hand, and what holds for every queue."""

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.latency.host import run_queue
from vggprof.latency.pricing import Price
from vggprof.trace import Operand, Operator, Phase


def operator(phase: Phase = Phase.FORWARD, *, view: bool = False) -> Operator:
    """An operator that gives new memory, or a view of what it takes."""
    taken = Operand("self", 0, (4,), (1,), "float32")
    given_ = Operand("out", 0 if view else 1, (4,), (1,), "float32")
    name = "aten.view.default" if view else "aten.relu.default"
    return Operator(name, 0, phase, None, (taken,), (given_,), ())


def price(seconds: float) -> Price:
    return cast(Price, SimpleNamespace(total_s=seconds))


def test_the_gpu_waits_for_a_slow_host() -> None:
    # The host needs 10 s an operator, the kernels 1 s: they end at 11 and 21 s; the GPU waits 10 and 9 s.
    ops = [(0, operator()), (1, operator())]
    elapsed = run_queue(ops, {0: (price(1.0),), 1: (price(1.0),)}, host_s=10.0)
    assert elapsed.total_s == pytest.approx(21)
    assert elapsed.waiting_s == pytest.approx(19)


def test_a_quick_host_is_only_in_front() -> None:
    # The host runs ahead, 1 s an operator; the GPU begins at 1 s and is busy for 20.
    ops = [(0, operator()), (1, operator(Phase.BACKWARD))]
    elapsed = run_queue(ops, {0: (price(10.0),), 1: (price(10.0),)}, host_s=1.0)
    assert elapsed.by_phase == {Phase.FORWARD: pytest.approx(11), Phase.BACKWARD: pytest.approx(10)}


def test_a_view_costs_the_host_little_and_the_gpu_nothing() -> None:
    elapsed = run_queue([(0, operator(view=True))], {}, host_s=1.0)
    assert elapsed.total_s == pytest.approx(0.15)


@given(
    kernels=st.lists(st.floats(0.001, 10), min_size=1, max_size=20),
    host=st.floats(0, 5),
    slower=st.floats(0, 5),
)
def test_a_step_takes_at_least_what_host_and_gpu_do(kernels: list[float], host: float, slower: float) -> None:
    ops = [(index, operator()) for index in range(len(kernels))]
    prices = {index: (price(seconds),) for index, seconds in enumerate(kernels)}
    elapsed = run_queue(ops, prices, host_s=host)
    assert elapsed.total_s >= max(sum(kernels), host * len(kernels)) * (1 - 1e-9)
    assert elapsed.total_s <= (sum(kernels) + host * len(kernels)) * (1 + 1e-9)
    assert run_queue(ops, prices, host_s=host + slower).total_s >= elapsed.total_s * (1 - 1e-9)
