"""What samples come to: by hand, against the standard library, and the bootstrap against its exact form."""

import statistics
from itertools import count
from math import comb
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.measurement import Samples, median_interval, summarize
from vggprof.measurement.statistics import quantile

_values = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=8).map(tuple)


def test_by_hand() -> None:
    # Sorted 1 2 4 9: the median lies between 2 and 4; the quartiles at 3/4 of the way from 1 to 2, and at
    # 1/4 of the way from 4 to 9. The mean is 4, the squares of the distances from it 9 + 4 + 0 + 25 = 38.
    summary = summarize(Samples((4.0, 1.0, 9.0, 2.0), throttled=(2,)))
    assert (summary.median_ms, summary.p25_ms, summary.p75_ms) == (3.0, 1.75, 5.25)
    assert (summary.min_ms, summary.mean_ms, summary.n, summary.throttled) == (1.0, 4.0, 4, 1)
    assert summary.std_ms == pytest.approx((38 / 4) ** 0.5)
    assert summary.spread == pytest.approx(3.5 / 3)


@given(_values)
def test_as_the_standard_library_has_it(values: tuple[float, ...]) -> None:
    summary = summarize(Samples(values))
    assert summary.median_ms == pytest.approx(statistics.median(values))
    assert summary.std_ms == pytest.approx(statistics.pstdev(values), abs=1e-6)
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        assert summary.p25_ms == pytest.approx(low)
        assert summary.p75_ms == pytest.approx(high)


@given(_values)
def test_figures_are_in_order_and_scale_with_the_samples(values: tuple[float, ...]) -> None:
    once, twice = summarize(Samples(values)), summarize(Samples(tuple(2 * value for value in values)))
    assert min(values) == once.min_ms <= once.p25_ms <= once.median_ms <= once.p75_ms <= max(values)
    assert once.min_ms <= once.median_low_ms <= once.median_high_ms <= max(values)
    assert (twice.median_low_ms, twice.median_high_ms) == (2 * once.median_low_ms, 2 * once.median_high_ms)
    assert twice.spread == pytest.approx(once.spread)


@pytest.mark.parametrize("n", [5, 11, 31])
def test_the_interval_is_that_of_the_exact_bootstrap_distribution(n: int) -> None:
    # Of n values, n odd, the median of n draws is at most the k-th smallest when (n + 1) / 2 draws or more
    # are, each with probability k / n (Efron 1979, Bootstrap Methods, section 3).
    def at_most(rank: float) -> float:
        share = min(max(int(rank), 0), n) / n
        middle = (n + 1) // 2
        return sum(comb(n, hits) * share**hits * (1 - share) ** (n - hits) for hits in range(middle, n + 1))

    low, high = median_interval([float(rank) for rank in range(1, n + 1)])
    noise = 0.02  # of 1,000 draws at 2.5 %, four standard deviations
    assert at_most(low - 1) <= 0.025 + noise
    assert at_most(low) >= 0.025 - noise
    assert at_most(high - 1) <= 0.975 + noise
    assert at_most(high) >= 0.975 - noise
    assert low < (n + 1) / 2 < high


def test_the_interval_holds_the_middle_95_percent_of_1000_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    # Medians 0, 1, ..., 999, whatever is drawn from: 2.5 % of the way along them is 0.025 x 999 = 24.975.
    medians = count()
    drawing = SimpleNamespace(choices=lambda _values, k: [float(next(medians))] * k)
    monkeypatch.setattr("vggprof.measurement.statistics.Random", lambda _seed: drawing)
    assert median_interval([5.0, 6.0, 7.0]) == pytest.approx((24.975, 999 - 24.975))
    assert next(medians) == 1000


def test_the_interval_is_the_same_each_time_and_narrows_with_more_samples() -> None:
    few, many = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0] * 20
    assert median_interval(few) == median_interval(few)
    width_few, width_many = (high - low for low, high in (median_interval(few), median_interval(many)))
    assert 0 < width_many < width_few


def test_a_single_sample_is_certain_of_itself() -> None:
    summary = summarize(Samples((7.5,)))
    assert summary.median_low_ms == summary.median_high_ms == summary.median_ms == 7.5
    assert summary.spread == summary.std_ms == 0


def test_times_of_nothing_have_no_spread() -> None:
    assert summarize(Samples((0.0, 0.0, 1.0))).spread == 0
    assert summarize(Samples((1.0, 2.0))).throttled == 0


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="a sample or more"):
        Samples(())
    with pytest.raises(ValueError, match="not among"):
        Samples((1.0,), throttled=(1,))
    with pytest.raises(ValueError, match="no quantile"):
        quantile([], 0.5)
