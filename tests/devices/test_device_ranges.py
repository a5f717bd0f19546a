"""Ranges: three numbers in order, added and taken apart at their widest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.devices import Range

ranges = st.lists(st.integers(-(2**50), 2**50), min_size=3, max_size=3).map(
    lambda three: Range(*sorted(three))
)


@pytest.mark.parametrize("ends", [(2, 1, 3), (1, 4, 3), (3, 2, 1)])
def test_ends_out_of_order_are_no_range(ends: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a range"):
        Range(*ends)


def test_by_hand() -> None:
    assert Range(1, 2, 4) + Range(10, 10, 20) == Range(11, 12, 24)
    assert Range(10, 12, 14) - Range(1, 2, 4) == Range(6, 10, 13)
    assert Range.around((5, 9), 7) == Range(5, 7, 9)
    assert Range.around((), 7) == Range.exact(7)


@given(ranges, ranges, st.data())
def test_a_sum_holds_every_sum_and_a_difference_every_difference(
    a: Range, b: Range, data: st.DataObject
) -> None:
    x = data.draw(st.integers(a.low, a.high))
    y = data.draw(st.integers(b.low, b.high))
    assert x + y in a + b
    assert x - y in a - b


@given(ranges)
def test_exact_means_one_number(a: Range) -> None:
    assert a.is_exact == (a.low == a.likely == a.high)
    assert Range.exact(a.likely).is_exact
    assert a.likely in a
    assert a.low - 1 not in a
    assert a.high + 1 not in a
