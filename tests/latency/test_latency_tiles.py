"""Tiles, waves and pieces of the inner sum: by hand, and what holds for every product."""

from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.latency.tiles import Engine, fill
from vggprof.latency.work import Product

LANES = Engine(sm_count=10, macs_per_clock=128, item_bytes=4)


def test_whole_tiles_lose_what_reading_and_the_prologue_cost() -> None:
    # 10 tiles of 256 x 128 on 10 SMs, one wave. A step of the inner sum is 256 x 128 = 32,768 multiply-adds
    # and reads 384 numbers; each is read by 4 warps, 16 bytes of the 128 that shared memory gives a clock, in
    # which 128 multiply-adds are done: 16 multiply-adds' worth a number. 1,000 steps, and 32 to fill the
    # pipeline and write the tile: 4 bytes a number at 16 a clock, in which 128 multiply-adds are done.
    step = hypot(32_768, 16 * 384)
    expected = 32_768 * 1000 / (step * 1032)
    assert fill(Product(2560, 128, 1000), LANES) == pytest.approx(expected)


def test_quicker_units_wait_longer_for_their_tile() -> None:
    # An A100's tensor cores: 1,024 multiply-adds a clock, so 128 steps while 2 bytes a number are written
    # at 16 a clock; and 64 multiply-adds' worth a number is read.
    tile = Product(256, 128, 640)
    step = hypot(32_768, 64 * 384)
    assert fill(tile, Engine(1, 1024, 2)) == pytest.approx(32_768 * 640 / (step * 768))


def test_a_tile_more_than_there_are_sms_takes_a_second_wave() -> None:
    # With 256 x 128 that would be two; of the smaller tiles 64 x 64 does best: 41 x 2 tiles, 9 waves.
    step = 9 * hypot(4096, 16 * 128)
    assert fill(Product(2561, 128, 1000), LANES) == pytest.approx(2561 * 128 * 1000 / (step * 1032 * 10))


def test_a_split_inner_sum_keeps_idle_sms_busy() -> None:
    # One tile of 32 x 32: one SM of ten works, unless the sum is done in pieces.
    alone, split = Product(32, 32, 8192), Product(32, 32, 8192, splits=8)
    assert fill(split, LANES) > 7 * fill(alone, LANES)


def test_a_product_without_small_tiles_wastes_large_ones() -> None:
    # 64 x 64 numbers fill a quarter of the one tile of 128 x 128 that there is.
    few = Product(64, 64, 4096, tiles=((128, 128),))
    step = hypot(128 * 128, 16 * 256)
    assert fill(few, Engine(1, 128, 4)) == pytest.approx(64 * 64 * 4096 / (step * (4096 + 32)))
    assert fill(Product(64, 64, 4096), Engine(1, 128, 4)) > 3 * fill(few, Engine(1, 128, 4))


def test_what_is_not_tiled_fills_no_tile_in_part() -> None:
    assert fill(Product(10, 1, 1, tiles=()), LANES) == 1
    assert fill(Product(10, 1, 1), LANES) < 0.01


@given(
    m=st.integers(1, 5000),
    n=st.integers(1, 3000),
    k=st.integers(1, 5000),
    sms=st.integers(1, 150),
    rate=st.sampled_from([64, 128, 256, 1024]),
)
def test_no_product_uses_more_than_there_is(m: int, n: int, k: int, sms: int, rate: int) -> None:
    assert 0 < fill(Product(m, n, k), Engine(sms, rate, 2)) < 1


@given(m=st.integers(1, 3000), n=st.integers(1, 1000), k=st.integers(1, 3000), more=st.integers(1, 500))
def test_more_work_never_takes_less_time(m: int, n: int, k: int, more: int) -> None:
    def slots(product: Product) -> float:
        return product.macs / fill(product, LANES)

    assert slots(Product(m + more, n, k)) >= slots(Product(m, n, k)) * (1 - 1e-9)
    assert slots(Product(m, n, k + more)) >= slots(Product(m, n, k)) * (1 - 1e-9)
