"""Coefficients drawn to measurements: what made them is found, and little evidence moves little.

Measurements are made by the model itself, with factors that are known; so the prediction of another network
of the same card must come nearer to what the same factors make of it.
"""

from collections.abc import Callable
from dataclasses import replace
from math import exp, log, sqrt
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measurement_made import GPU

from vggprof import api
from vggprof.compare.refining import refining
from vggprof.devices import find_device
from vggprof.latency.coefficients import Spread
from vggprof.latency.evidence import tells
from vggprof.latency.factors import Factor, Factors
from vggprof.latency.interval import interval
from vggprof.latency.predict import Latency, Stopwatch
from vggprof.latency.refinement import SHARED, Evidence, Prior, Refinement, Time, refine
from vggprof.measurement import (
    Conditions,
    Execution,
    LayerTime,
    Measurement,
    PhaseTime,
    Protocol,
    Samples,
    Status,
    Timing,
)
from vggprof.target import Target
from vggprof.trace import Mode, Setup, Trace

CARD = find_device("Tesla V100 SXM2 16GB")  # cuDNN cannot be asked about it, so every machine gives the same
V100 = replace(GPU, device_name=CARD.torch_name, total_memory_bytes=CARD.usable.likely)
SPREAD = Spread(large=1.2, small=1.5, unmeasured=1.3)
PRIOR = Prior(SPREAD, measured=True)
SLOW: Factors = {Factor.LANES: 1.3, Factor.TENSOR: 1.3}


def traced(arch: str, setup: Setup) -> Trace:
    return api.trace_arch(arch, setup)


def predicted(arch: str, setup: Setup, factors: Factors | None = None) -> Latency:
    """What the model itself makes of *arch* under *factors*; without any, what it predicts."""
    refined = {} if factors is None else {CARD.name: exactly(factors)}
    software = Target(torch="2.15.0+cu130", cudnn="9.26.0").software({})
    with Stopwatch(lambda batch: traced(arch, replace(setup, batch=batch)), software, refined=refined) as now:
        return now.predict(setup.batch, CARD)


def exactly(factors: Factors) -> Refinement:
    logs = tuple(log(factors.get(factor, 1.0)) for factor in Factor)
    return Refinement(PRIOR, logs, PRIOR.covariance, 1.0, ())


def measured(arch: str, setup: Setup, factors: Factors, *, n: int = 100, layers: bool = False) -> Measurement:
    """A measurement of *arch* on a card of these *factors*, without any noise."""
    step = predicted(arch, setup, factors)
    forward, backward, optimizer = (
        None if each is None else Samples((each.likely,) * n)
        for each in (step.forward, step.backward, step.optimizer)
    )
    told = tuple(
        LayerTime(each.name, each.forward_ms, (each.dgrad_ms or 0) + (each.wgrad_ms or 0))
        for each in step.layers
    )
    return Measurement(
        Conditions(arch, setup, "cuda"),
        V100,
        Status.OK,
        timing=Timing("cuda events", Samples((step.step.likely,) * n), forward, backward, optimizer),
        layers=told if layers else (),
    )


VGG, ALEX, RESNET = (("vgg11", Setup(16)), ("alexnet", Setup(64)), ("resnet18", Setup(32)))


def off(of: Latency, truth: Latency) -> float:
    return abs(log(of.step.likely / truth.step.likely))


def found(*measurements: Measurement) -> Refinement:
    refinement = refining(measurements, CARD, traced).refinement
    assert refinement is not None
    return refinement


def after(arch: str, setup: Setup, refinement: Refinement) -> Latency:
    software = Target(torch="2.15.0+cu130", cudnn="9.26.0").software({})
    refined = {CARD.name: refinement}
    with Stopwatch(lambda batch: traced(arch, replace(setup, batch=batch)), software, refined=refined) as now:
        return now.predict(setup.batch, CARD)


@pytest.mark.parametrize(
    "factors",
    [SLOW, {Factor.LANES: 0.8}, {Factor.TRAFFIC: 1.25}, dict.fromkeys(Factor, 1.3)],
    ids=["arithmetic slower", "lanes faster", "memory slower", "all slower"],
)
def test_another_network_comes_nearer(factors: Factors) -> None:
    refinement = found(measured(*VGG, factors, layers=True), measured(*ALEX, factors, layers=True))
    truth, before = predicted(*RESNET, factors), predicted(*RESNET)
    now = after(*RESNET, refinement)
    assert off(now, truth) < 0.5 * off(before, truth)
    assert now.step.high / now.step.likely < before.step.high / before.step.likely
    assert now.refined is refinement


def test_slow_arithmetic_is_found_and_told_from_the_rest() -> None:
    runs = [
        measured(arch, replace(setup, batch=b), SLOW, layers=True)
        for arch, setup in (VGG, ALEX, RESNET)
        for b in (16, 64)
    ]
    factors = found(*runs).factors
    assert 1.3**0.5 < factors[Factor.LANES] < 1.32  # at least half of the way
    assert factors[Factor.LANES] > factors[Factor.TRAFFIC] + 0.07
    assert abs(log(factors[Factor.HOST])) < 0.02


def test_a_measurement_as_predicted_changes_nothing_but_the_interval() -> None:
    refinement = found(measured(*VGG, {}))
    assert all(value == pytest.approx(1, abs=1e-6) for value in refinement.factors.values())
    now, before = after(*RESNET, refinement), predicted(*RESNET)
    assert now.step.likely == pytest.approx(before.step.likely)
    assert now.step.high < before.step.high


def test_a_measurement_is_named_once_whether_it_tells_phases_or_not() -> None:
    whole = replace(measured(*VGG, SLOW), timing=Timing("cuda events", step=Samples((200.0,) * 100)))
    phases = measured(*VGG, SLOW)
    assert len(found(whole).sources) == len(found(phases).sources) == 1
    assert found(phases).sources == ("vgg11 at batch 16, training, 100 steps",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, True),
        ({"status": Status.OOM}, False),
        ({"conditions": Conditions("vgg11", Setup(16), "cpu")}, False),
        ({"conditions": Conditions("vgg11", Setup(16), "cuda", Execution.COMPILE)}, False),
        ({"conditions": Conditions("vgg11", Setup(16), "cuda", protocol=Protocol.SEED)}, False),
        ({"environment": GPU}, False),
        ({"timing": None}, False),
        ({"timing": None, "phases": (PhaseTime("output", "host", 1, 1, 1, 1, 3),)}, False),
        ({"timing": None, "phases": (PhaseTime("output", "cuda events", 1, 1, 1, 1, 3),)}, True),
    ],
)
def test_what_tells_times_of_a_card(change: dict[str, object], told: bool) -> None:
    made = Measurement(
        Conditions("vgg11", Setup(16), "cuda"), V100, Status.OK, timing=Timing("", Samples((1.0,)))
    )
    assert tells(replace(made, **change), CARD) is told  # type: ignore[arg-type]


def test_phases_of_a_recorded_file_count_as_the_step() -> None:
    step = predicted("vgg11", Setup(16, Mode.INFER), SLOW).step.likely
    phases = (
        PhaseTime("output", "cuda events", step, step, step, step, 50),
        PhaseTime("output", "host", 1.0, 1.0, 1.0, 1.0, 50),
    )
    recorded = Measurement(Conditions("vgg11", Setup(16, Mode.INFER), "cuda"), V100, Status.OK, phases=phases)
    assert found(recorded).factors[Factor.LANES] > 1.03


def test_what_cannot_be_traced_is_left_out_with_a_note() -> None:
    gone = measured(*VGG, SLOW)
    gone = replace(gone, conditions=replace(gone.conditions, arch="./gone.yaml"))
    told = refining([gone], CARD, traced)
    assert told.refinement is None
    assert "./gone.yaml is not used" in told.notes[0]


# By hand: one factor alone decides a time, whose variance before is s (shared) and whose row has o + n^2.
S = PRIOR.shared(Factor.TRAFFIC)
OWN = PRIOR.own(32)


def traffic_alone(measured_ms: float, noise: float, network: str = "a") -> Evidence:
    def model(factors: Factors) -> tuple[float]:
        return (10.0 * factors.get(Factor.TRAFFIC, 1.0),)

    return Evidence(network, network, 32, (Time(measured_ms, noise),), model)


def test_variances_are_those_of_the_interval() -> None:
    total = (log(1.2) / NormalDist().inv_cdf(0.9)) ** 2
    assert total == pytest.approx(S + OWN, rel=1e-4)
    assert pytest.approx(SHARED * total, rel=1e-4) == S
    small = (log(1.5) / NormalDist().inv_cdf(0.9)) ** 2
    assert PRIOR.shared(Factor.HOST) == pytest.approx(SHARED * small, rel=1e-4)
    new = Prior(SPREAD, measured=False)
    assert new.own(32) == OWN  # what nobody measured is the generation's, not the network's
    assert new.shared(Factor.TRAFFIC) > S


def test_one_row_by_hand() -> None:
    refinement = refine([traffic_alone(12.0, 0.05)], PRIOR)
    gain = S / (S + OWN + 0.05**2)
    assert refinement.factors[Factor.TRAFFIC] == pytest.approx(exp(gain * log(1.2)))
    surprise = log(1.2) ** 2 / (S + OWN + 0.05**2)
    assert refinement.scale == pytest.approx((8 + surprise) / 9)
    left = S * (1 - gain)
    slopes = tuple(float(factor is Factor.TRAFFIC) for factor in Factor)
    expected = sqrt(refinement.scale * (left + OWN) / (S + OWN))
    assert refinement.narrowing(slopes, 32) == pytest.approx(expected)


def test_a_noisy_row_moves_little() -> None:
    sure, noisy = (refine([traffic_alone(20.0, noise)], PRIOR).logs for noise in (0.01, 1.0))
    at = tuple(Factor).index(Factor.TRAFFIC)
    assert sure[at] > 0.3
    assert 0 < noisy[at] < 0.02


def test_times_of_one_network_count_as_one() -> None:
    once = refine([traffic_alone(12.0, 0.0)], PRIOR)
    thrice = refine([traffic_alone(12.0, 0.0)] * 3, PRIOR)
    others = refine([traffic_alone(12.0, 0.0, name) for name in "abc"], PRIOR)
    assert thrice.logs == pytest.approx(once.logs)
    at = tuple(Factor).index(Factor.TRAFFIC)
    assert thrice.covariance[at] == pytest.approx(once.covariance[at])
    assert others.factors[Factor.TRAFFIC] > once.factors[Factor.TRAFFIC]


SHARES = st.lists(st.floats(0, 1), min_size=5, max_size=5)


def by_shares(shares: list[float]) -> Callable[[Factors], tuple[float]]:
    """A time of which each factor has a share."""
    return lambda factors: (1.0 + sum(s * factors.get(f, 1.0) for f, s in zip(Factor, shares, strict=True)),)


@given(slopes=st.tuples(*(st.floats(-1, 1),) * 5), batch=st.integers(1, 256))
def test_without_measurements_nothing_changes(slopes: tuple[float, ...], batch: int) -> None:
    nothing = refine([], PRIOR)
    assert set(nothing.factors.values()) == {1.0}
    assert nothing.narrowing(slopes, batch) == 1.0
    same = interval(3.0, batch=batch, spread=SPREAD, measured=True)
    assert interval(3.0, batch=batch, spread=SPREAD, measured=True, narrowed=1.0) == same


@given(rows=st.lists(st.tuples(SHARES, st.floats(0.5, 2.0), st.floats(0, 0.5)), min_size=1, max_size=6))
def test_a_measured_time_is_never_missed_by_more(rows: list[tuple[list[float], float, float]]) -> None:
    """The posterior lies between the prior and the times: the sum of squares never grows."""
    told = [
        Evidence(str(at), str(at), 32, (Time(by_shares(shares)({})[0] * times, noise),), by_shares(shares))
        for at, (shares, times, noise) in enumerate(rows)
    ]
    refinement = refine(told, PRIOR)

    def squares(factors: Factors) -> float:
        return sum(
            log(each.times[0].ms / each.model(factors)[0]) ** 2 / (OWN + each.times[0].noise ** 2)
            for each in told
        )

    assert squares(refinement.factors) <= squares({}) + 1e-9
    assert all(refinement.covariance[at][at] <= PRIOR.covariance[at][at] + 1e-12 for at in range(5))
    assert refinement.scale >= 8 / (8 + len(told))
