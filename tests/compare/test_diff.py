"""What has changed between two measurements: what is noise and what is not, by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurement_made import measurements, on_cpu

from vggprof.compare.diff import MIN_SAMPLES, Change, Finding, diff
from vggprof.measurement import (
    Environment,
    LayerTime,
    Measurement,
    Memory,
    Protocol,
    Samples,
    Status,
    Timing,
    median_interval,
)
from vggprof.trace import Mode, Setup

# Six samples each, as few as say something; their medians are 10.5, 12.5, 10 and 12.
LOW, HIGH = (10.0, 10.2, 10.4, 10.6, 10.8, 11.0), (12.0, 12.2, 12.4, 12.6, 12.8, 13.0)
NOISY, NOISIER = (5.0, 5.0, 10.0, 10.0, 15.0, 15.0), (6.0, 6.0, 12.0, 12.0, 14.0, 14.0)


def timed(*step: float) -> Measurement:
    return replace(on_cpu(), timing=Timing("monotonic", Samples(step)), layers=(), memory=None)


def held(memory: Memory) -> Measurement:
    return replace(on_cpu(), timing=None, layers=(), memory=memory)


def step(first: Measurement, second: Measurement) -> Change:
    (change,) = diff(first, second).times
    return change


def test_times_far_apart_have_changed() -> None:
    # All samples of one lie above all of the other, so do the medians of whatever is drawn from them.
    change = step(timed(*LOW), timed(*HIGH))
    assert (change.name, change.first, change.second) == ("step_ms", 10.5, 12.5)
    assert change.growth == pytest.approx(2 / 10.5)
    assert change.finding is Finding.WORSE
    assert step(timed(*HIGH), timed(*LOW)).finding is Finding.BETTER


def test_times_that_scatter_over_each_other_are_the_same() -> None:
    # The medians differ by a fifth, but both scatter over the whole range.
    change = step(timed(*NOISY), timed(*NOISIER))
    assert change.finding is Finding.SAME
    assert change.growth == pytest.approx(0.2)
    assert change.first_interval is not None
    assert change.second_interval is not None
    assert change.first_interval[1] >= change.second_interval[0]


def test_what_the_allocator_counts_is_exact_and_what_the_process_holds_is_not() -> None:
    first = held(Memory(peak_allocated_bytes=1000, peak_reserved_bytes=2000, process_bytes=3000))
    second = held(Memory(peak_allocated_bytes=1001, peak_reserved_bytes=1999, process_bytes=3001))
    assert [change.finding for change in diff(first, second).memory] == [
        Finding.WORSE,
        Finding.BETTER,
        Finding.UNKNOWN,
    ]
    assert [change.finding for change in diff(first, first).memory] == [Finding.SAME] * 3


def test_regressions_are_beyond_noise_and_beyond_the_limit() -> None:
    first = replace(timed(*(10.0,) * 6), memory=Memory(process_bytes=1000, peak_allocated_bytes=1000))
    second = replace(timed(*(10.6,) * 6), memory=Memory(process_bytes=1100, peak_allocated_bytes=1040))
    found = diff(first, second)
    # 6 %, 10 % and 4 % more.
    assert [change.name for change in found.regressions(0.05)] == ["step_ms", "process_bytes"]
    assert [change.name for change in found.regressions(0.07)] == ["process_bytes"]
    assert [change.name for change in found.regressions(0.03)] == [
        "step_ms",
        "peak_allocated_bytes",
        "process_bytes",
    ]
    assert diff(second, first).regressions(0.0) == ()
    noisy = diff(timed(*NOISY), timed(*NOISIER))
    assert noisy.regressions(0.05) == ()


def test_something_from_nothing_is_a_regression_of_any_limit() -> None:
    found = diff(held(Memory(peak_allocated_bytes=0)), held(Memory(peak_allocated_bytes=512)))
    assert [change.growth for change in found.regressions(100.0)] == [None]


def test_layers_are_those_that_both_have_forward_and_backward_together() -> None:
    first = replace(
        timed(1.0), layers=(LayerTime("a", 1.0, 2.0), LayerTime("b", 1.0, None), LayerTime("c", 1.0, 1.0))
    )
    second = replace(timed(1.0), layers=(LayerTime("c", 1.0, 1.0), LayerTime("a", 1.5, 2.5)))
    found = diff(first, second).layers
    assert [(each.name, each.first, each.second, each.finding) for each in found] == [
        ("a", 3.0, 4.0, Finding.UNKNOWN),
        ("c", 2.0, 2.0, Finding.SAME),
    ]


def test_what_was_not_the_same_is_named() -> None:
    first, second = on_cpu(batch=2), on_cpu(batch=4)
    second = replace(second, environment=replace(second.environment, torch="2.11.0", cudnn=91900))
    named = {each.what: (each.first, each.second) for each in diff(first, second).unlike}
    assert named == {"batch": ("2", "4"), "torch": ("2.15.0", "2.11.0"), "cudnn": ("none", "91900")}
    assert diff(first, first).unlike == ()


def test_one_that_no_longer_runs_is_broken() -> None:
    fails = replace(on_cpu(), status=Status.OOM, timing=None, memory=None, layers=())
    assert diff(on_cpu(), fails).broken
    assert not diff(fails, on_cpu()).broken
    assert [each.what for each in diff(on_cpu(), fails).unlike] == ["status"]
    assert diff(on_cpu(), fails).times == ()


@given(measurements)
def test_nothing_has_changed_against_itself(measurement: Measurement) -> None:
    found = diff(measurement, measurement)
    every = (*found.times, *found.memory)
    assert all(change.finding is Finding.SAME for change in every)
    assert found.unlike == ()
    assert found.regressions(0.0) == ()
    assert not found.broken


@given(
    st.lists(st.floats(1, 100), min_size=4, max_size=8), st.lists(st.floats(1, 100), min_size=4, max_size=8)
)
def test_the_other_way_round_better_is_worse(first: list[float], second: list[float]) -> None:
    there, back = step(timed(*first), timed(*second)), step(timed(*second), timed(*first))
    opposite = {Finding.WORSE: Finding.BETTER, Finding.BETTER: Finding.WORSE}
    assert back.finding is opposite.get(there.finding, there.finding)


def test_an_environment_has_only_fields_that_can_be_said() -> None:
    variables = (("PYTORCH_ALLOC_CONF", "x"),)
    other = replace(on_cpu(), environment=replace(on_cpu().environment, variables=variables))
    assert isinstance(other.environment, Environment)
    assert diff(on_cpu(), other).unlike[0].second == "PYTORCH_ALLOC_CONF, x"


@given(st.integers(1, 12), st.data())
def test_up_to_five_samples_the_interval_is_all_that_was_seen(n: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 10**6), min_size=n, max_size=n, unique=True))
    low, high = median_interval(values)
    assert ((low, high) == (min(values), max(values))) is (n < MIN_SAMPLES)


@pytest.mark.parametrize(("before", "after"), [(LOW[:5], HIGH), (LOW, HIGH[:5]), (LOW[:1], HIGH[:1])])
def test_of_too_few_samples_nothing_is_said(before: tuple[float, ...], after: tuple[float, ...]) -> None:
    found = diff(timed(*before), timed(*after))
    assert [(each.finding, each.first_n, each.second_n) for each in found.times] == [
        (Finding.TOO_FEW, len(before), len(after))
    ]
    assert found.regressions(0.05) == ()
    assert found.undecided(0.05) == found.times
    assert found.undecided(0.5) == ()
    assert diff(timed(*after), timed(*before)).undecided(0.05) == (), "less is no regression"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"arch": "vgg16"}, ["arch"]),
        ({"setup": Setup(batch=4)}, ["batch"]),
        ({"device": "cuda"}, ["device"]),
        ({"protocol": Protocol.SEED}, ["protocol"]),
        ({"setup": Setup(batch=2, mode=Mode.INFER)}, ["mode"]),
        ({"deterministic": True}, []),
    ],
)
def test_measurements_of_different_things_are_told_apart(change: dict[str, object], named: list[str]) -> None:
    first = on_cpu(batch=2)
    second = replace(first, conditions=replace(first.conditions, **change))  # type: ignore[arg-type]
    assert [each.what for each in diff(first, second).essential] == named
    assert diff(first, second).unlike
