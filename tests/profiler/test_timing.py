"""How long to go on: steps whose times are made up."""

from collections.abc import Callable
from itertools import count, cycle

import pytest

from vggprof.profiler.plan import Plan
from vggprof.profiler.timing import HostClock, Stopwatch, timed, warm_up
from vggprof.trace import Phase

MS, S = 10**6, 10**9


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A clock that stands still, so that nothing hangs on how fast this machine is.

    What comes back sets the time between two looks at it, in ns.
    """

    def every(time: int) -> None:
        clock = count(0, time)
        monkeypatch.setattr("vggprof.profiler.timing.perf_counter_ns", lambda: next(clock))

    every(0)
    return every


class Ticks:
    """A clock that is a millisecond further at each look; its times are whole before the device is done."""

    name = "ticks"

    def __init__(self) -> None:
        self.looks, self.done = 0, 0

    def now(self) -> float:
        self.looks += 1
        return self.looks

    def wait(self) -> None:
        self.done = self.looks

    def ms(self, begin: float, end: float) -> float:
        assert end <= self.done, "the device has not come that far"
        return end - begin


def test_the_parts_of_a_step_and_what_the_host_took(looks: Callable[[int], None]) -> None:
    looks(2 * MS)
    watch = Stopwatch(Ticks())

    def step() -> None:
        for phase in (Phase.INPUT, Phase.FORWARD, Phase.LOSS, Phase.BACKWARD, Phase.OPTIMIZER):
            with watch.phase(phase):
                pass

    # Begin, two looks at each of five phases, end: eleven ticks from the first to the last. The host's own
    # clock is looked at before the step and when it is issued.
    expected = {"step": 11, "forward": 1 + 1, "backward": 1, "optimizer": 1, "host_step": 2}
    assert [watch.time(step), watch.time(step)] == [expected, expected]


def test_steady_steps_are_few() -> None:
    found = timed(lambda: {"step": 5.0, "host_step": 1.0}, Plan(), lambda: False, clock="cuda events")
    assert found.converged
    assert found.step.values_ms == (5.0,) * 10
    assert found.host_step is not None
    assert (found.forward, found.backward, found.optimizer) == (None, None, None)


def test_scattered_steps_go_on_to_the_cap() -> None:
    values = cycle([1.0, 100.0])
    found = timed(lambda: {"step": next(values), "host_step": 1.0}, Plan(steps=40), lambda: False, clock="x")
    assert (found.capped, found.converged) == (False, False)
    assert len(found.step.values_ms) == 40


def test_steps_go_on_until_the_median_is_known() -> None:
    # Half a percent around 10: ten of them leave the median's interval wider than a thousandth of it.
    numbers = count()
    found = timed(
        lambda: {"step": 10 + 0.05 * ((next(numbers) * 7) % 11 - 5) / 5, "host_step": 1.0},
        Plan(steps=1000, target_spread=0.002),
        lambda: False,
        clock="x",
    )
    assert found.converged
    assert 10 < len(found.step.values_ms) < 1000


def test_steps_of_a_gpu_that_holds_itself_back_are_marked() -> None:
    throttled = cycle([False, False, True])
    found = timed(lambda: {"step": 5.0, "host_step": 1.0}, Plan(), lambda: next(throttled), clock="x")
    assert found.step.throttled == (2, 5, 8)


@pytest.mark.parametrize("n", [1, 2])
def test_a_cap_below_what_a_spread_needs(n: int) -> None:
    found = timed(lambda: {"step": 5.0, "host_step": 1.0}, Plan(steps=n), lambda: False, clock="x")
    assert len(found.step.values_ms) == n
    assert found.converged == (n == 2), "one value has no spread; two equal ones have none either"


def test_a_warm_up_of_no_time_is_one_step() -> None:
    ran: list[None] = []
    warm_up(lambda: ran.append(None), HostClock(), 0)
    assert len(ran) == 1


def test_a_warm_up_lasts(looks: Callable[[int], None]) -> None:
    looks(3 * MS)
    ran: list[None] = []
    warm_up(lambda: ran.append(None), HostClock(), 0.01)
    assert len(ran) == 4  # 12 ms, the first time that is 10 or more


@pytest.mark.parametrize(
    ("between", "steps"),
    # Looks from the third step on: at 7, 14 and 21 s, the last of which is beyond 20; or at 30 s at once.
    [(7 * S, 5), (30 * S, 3)],
)
def test_time_is_up_before_the_spread_is_reached(
    between: int, steps: int, looks: Callable[[int], None]
) -> None:
    looks(between)
    values = cycle([1.0, 100.0])
    found = timed(lambda: {"step": next(values), "host_step": 1.0}, Plan(), lambda: False, clock="x")
    assert (found.capped, found.converged) == (True, False)
    assert len(found.step.values_ms) == steps
