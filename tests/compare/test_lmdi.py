"""Ratios split into causes: by hand, and exactly for whatever numbers come."""

from math import log, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.compare.causes import Cause
from vggprof.compare.lmdi import Factor, Term, decompose, log_mean

amounts = st.one_of(st.just(0.0), st.floats(1e-3, 1e12))
terms = st.lists(
    st.builds(
        lambda stage, pairs, weight: Term(
            stage, tuple(Factor(c, a, b) for c, (a, b) in zip(Cause, pairs, strict=False)), weight
        ),
        st.sampled_from(["full", "1/2", None]),
        st.lists(st.tuples(amounts, amounts), min_size=1, max_size=4),
        st.floats(0.01, 1),
    ),
    min_size=1,
    max_size=8,
)


def test_logarithmic_mean_by_hand() -> None:
    # (8 - 2) / ln(8 / 2) = 6 / 1.386294 = 4.328085
    assert log_mean(2, 8) == pytest.approx(4.328085122666891)
    assert log_mean(8, 2) == pytest.approx(log_mean(2, 8))
    assert log_mean(3, 3) == 3
    assert log_mean(0, 5) == log_mean(5, 0) == 0


def test_logarithmic_mean_of_near_numbers_lies_between_them() -> None:
    assert 1e12 <= log_mean(1e12, 1e12 + 1) <= 1e12 + 1


def test_one_term_is_split_by_the_logarithms_of_its_factors() -> None:
    # 2 x 3 = 6 becomes 4 x 15 = 60: ln 10 = ln 2 + ln 5.
    term = Term("full", (Factor(Cause.DEPTH, 2, 4), Factor(Cause.WIDTH, 3, 15)))
    depth, width = decompose([term], first=6, second=60)
    assert (depth.cause, width.cause) == (Cause.DEPTH, Cause.WIDTH)
    assert (depth.value, width.value) == pytest.approx((log(2), log(5)))


def test_terms_weigh_by_their_logarithmic_means() -> None:
    # 1 -> 2 by depth and 3 -> 12 by width, 4 -> 14 in all. L(4, 14) = 10 / ln 3.5 = 7.982356.
    # Depth: L(1, 2) ln 2 = 1, so 1 / 7.982356 = 0.125276; width: 9 / 7.982356 = 1.127487; sum: ln 3.5.
    parts = decompose(
        [Term("full", (Factor(Cause.DEPTH, 1, 2),)), Term("1/2", (Factor(Cause.WIDTH, 3, 12),))],
        first=4,
        second=14,
    )
    assert [part.value for part in parts] == pytest.approx([0.125276297, 1.127486672])


def test_what_is_zero_in_one_network_goes_to_the_factor_that_is_zero() -> None:
    # 0 -> 5 beside 5 -> 5: the ratio is 2, L(5, 10) = 5 / ln 2, and 5 of that is ln 2.
    new = Term("1/2", (Factor(Cause.RESOLUTION, 7, 7), Factor(Cause.DEPTH, 0, 5 / 7)))
    same = Term("full", (Factor(Cause.WIDTH, 5, 5),))
    (part,) = decompose([new, same], first=5, second=10)
    assert (part.cause, part.stage) == (Cause.DEPTH, "1/2")
    assert part.value == pytest.approx(log(2))


def test_a_ratio_to_nothing_has_no_causes() -> None:
    term = Term("full", (Factor(Cause.DEPTH, 0, 1),))
    assert decompose([term], first=0, second=1) == decompose([term], first=1, second=0) == ()


@given(terms)
def test_parts_sum_to_the_logarithm_of_the_ratio(found: list[Term]) -> None:
    first, second = sum(term.first for term in found), sum(term.second for term in found)
    parts = decompose(found, first=first, second=second)
    if first and second:
        assert sum(part.value for part in parts) == pytest.approx(log(second / first), abs=1e-9)
    else:
        assert parts == ()


@given(terms)
def test_the_way_back_undoes_every_cause(found: list[Term]) -> None:
    back = [
        Term(t.stage, tuple(Factor(f.cause, f.second, f.first) for f in t.factors), t.weight) for t in found
    ]
    first, second = sum(term.first for term in found), sum(term.second for term in found)
    there = {(p.cause, p.stage): p.value for p in decompose(found, first=first, second=second)}
    and_back = {(p.cause, p.stage): -p.value for p in decompose(back, first=second, second=first)}
    for key in there.keys() | and_back.keys():
        assert there.get(key, 0.0) == pytest.approx(and_back.get(key, 0.0), rel=1e-6, abs=1e-9)


def test_a_term_is_the_product_of_its_factors() -> None:
    term = Term("full", (Factor(Cause.DEPTH, 2, 3), Factor(Cause.WIDTH, 5, 7)), weight=0.5)
    assert (term.first, term.second) == (0.5 * prod((2, 5)), 0.5 * prod((3, 7)))
