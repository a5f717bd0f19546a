"""The search for the largest batch that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.memory.search import largest_batch
from vggprof.trace.setup import MAX_BATCH


@given(st.integers(0, 100_000), st.integers(1, 512))
def test_finds_the_edge_wherever_it_is(edge: int, start: int) -> None:
    assert largest_batch(lambda batch: batch <= edge, start=start) == edge


def test_tries_by_doubling_then_halving() -> None:
    """From 32: 64 and 128 fit, 256 does not, then the middle of what is left."""
    tried: list[int] = []

    def fits(batch: int) -> bool:
        tried.append(batch)
        return batch <= 130

    assert largest_batch(fits) == 130
    assert tried == [32, 64, 128, 256, 192, 160, 144, 136, 132, 130, 131]


@pytest.mark.parametrize(("always", "expected"), [(True, MAX_BATCH), (False, 0)])
def test_ends_where_nothing_stops_it_and_where_nothing_fits(always: bool, expected: int) -> None:
    assert largest_batch(lambda batch: always) == expected
