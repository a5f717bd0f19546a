"""Prices: by hand on a made-up generation, and what holds on every card."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.devices import devices, find_device
from vggprof.latency.clock import clock_hz
from vggprof.latency.coefficients import OTHER, Coefficients, Generation, Spread, coefficients
from vggprof.latency.pricing import GRAPH_LAUNCH_US, Bound, Pricer, parts_of
from vggprof.latency.tiles import Engine, fill
from vggprof.latency.work import Math, Part, Product, Traffic, Way, Work
from vggprof.trace import Phase

A100 = find_device("A100 SXM4 40GB")
HALF = Generation("made up", True, dict.fromkeys(Math, 0.5), dict.fromkeys(Traffic, 0.5), 10.0, None, 1.0)
MADE_UP = Coefficients("", (), {OTHER: HALF}, {Part.WGRAD: {Math.DIRECT: 2.0}}, 0.0, Spread(1.2, 1.4, 1.5))


def work(*ways: Way, part: Part = Part.FORWARD, macs: int = 0) -> Work:
    return Work(0, 0, Phase.FORWARD, part, macs, ways, named=False)


def stream(nbytes: int) -> Way:
    return Way(None, None, Traffic.STREAM, nbytes)


def test_traffic_is_bytes_over_the_share_of_the_bandwidth() -> None:
    # 1,555 GB/s at half of it; a launch takes 10 us.
    price = Pricer(A100, MADE_UP).price(work(stream(1_555_000_000)))
    assert price.total_s == pytest.approx(2e-3 + 10e-6)
    assert price.bound is Bound.MEMORY


def test_arithmetic_is_over_the_share_of_the_full_lanes() -> None:
    # 108 SMs of 64 lanes at 1.41 GHz: 9.745e12 multiply-adds a second, half of it reached.
    product = Product(108 * 128, 1024, 4096)
    way = Way(Math.DIRECT, product, Traffic.OPERAND, 0)
    price = Pricer(A100, MADE_UP).price(work(way, macs=product.macs))
    peak = 108 * 64 * 1.41e9
    assert price.compute_s == pytest.approx(product.macs / (peak * 0.5 * fill(product, Engine(108, 64, 4))))
    assert price.ideal_s == pytest.approx(product.macs / peak)
    assert price.bound is Bound.COMPUTE


def test_arithmetic_and_traffic_overlap_and_the_rest_does_not() -> None:
    product = Product(12800, 1280, 512)
    way = Way(
        Math.DIRECT, product, Traffic.OPERAND, 10**9, around_bytes=10**8, layout_bytes=10**7, launches=3
    )
    price = Pricer(A100, MADE_UP).price(work(way))
    beside = max(price.compute_s, price.memory_s)
    assert price.total_s == pytest.approx(beside + price.around_s + price.layout_s + 3 * 10e-6)
    assert sum(parts_of(price).values()) == pytest.approx(price.total_s)


def test_a_backward_pass_takes_its_factor_longer() -> None:
    way = Way(Math.DIRECT, Product(12800, 1280, 512), Traffic.OPERAND, 0)
    forward, backward = (Pricer(A100, MADE_UP).price(work(way, part=p)) for p in (Part.FORWARD, Part.WGRAD))
    assert backward.compute_s == pytest.approx(2 * forward.compute_s)


def test_the_quickest_way_runs() -> None:
    assert Pricer(A100, MADE_UP).price(work(stream(10**9), stream(10**6))).way.nbytes == 10**6


def test_a_graph_launches_sooner() -> None:
    eager, graph = (Pricer(A100, MADE_UP, graph=graph).launch_s for graph in (False, True))
    assert [eager, graph] == pytest.approx([10e-6, GRAPH_LAUNCH_US * 1e-6])


def test_keplers_lanes_count_as_far_as_its_schedulers_feed_them() -> None:
    assert Pricer(find_device("Tesla K80"), MADE_UP).engine(Math.DIRECT) == Engine(13, 128, 4)


def test_tensor_cores_do_half_as_much_in_tf32() -> None:
    pricer = Pricer(A100, MADE_UP)
    assert pricer.engine(Math.TENSOR) == Engine(108, 1024, 2)
    assert pricer.engine(Math.TF32) == Engine(108, 512, 4)


def test_a_desktop_card_holds_its_generations_clock() -> None:
    card = find_device("GeForce GTX 1080 Ti")
    assert clock_hz(card, replace(HALF, desktop_clock_khz=1_800_000)) == 1.8e9
    # None was measured: as many times its boost clock as those of other generations.
    assert clock_hz(card, replace(HALF, desktop_over_boost=1.25)) == 1.25 * 1.582e9
    assert clock_hz(A100, replace(HALF, desktop_over_boost=1.25)) == 1.41e9


def test_a_card_of_little_power_slows_down() -> None:
    # The T4 has 70 W for 40 SMs, 1.75 W each; the RTX 2080 Ti, least among Turing's desktop cards, 250 / 68.
    expected = 1.59e9 * (1.75 / (250 / 68)) ** (1 / 2.5)
    assert clock_hz(find_device("Tesla T4"), HALF) == pytest.approx(expected)
    assert clock_hz(A100, HALF) == 1.41e9
    # No desktop card has the capability of the K80, but Kepler has some: 250 W for 15 SMs (GTX 780 Ti).
    # Each GPU of a K80 has half of the 300 W of its board, for 13 of them.
    expected = 0.875e9 * ((150 / 13) / (250 / 15)) ** (1 / 2.5)
    assert clock_hz(find_device("Tesla K80"), HALF) == pytest.approx(expected)
    # Other SMs of Pascal's have twice the P100's lanes: power is compared a lane.
    assert clock_hz(find_device("Tesla P100 SXM2 16GB"), HALF) == 1.48e9


def test_shipped_coefficients_are_physical() -> None:
    shipped = coefficients()
    assert {"Kepler", "Maxwell", "Pascal", "Volta", "Turing", "Ampere", OTHER} == set(shipped.generations)
    for generation in shipped.generations.values():
        assert set(generation.math) == set(Math)
        assert set(generation.traffic) == set(Traffic)
        assert all(0 < share < 1 for share in (*generation.math.values(), *generation.traffic.values()))
        assert 1 < generation.launch_us < 40
    assert all(0.8 < factor < 2 for row in shipped.passes.values() for factor in row.values())
    assert 5 < shipped.host_us < 80
    assert 1 < shipped.spread.large < shipped.spread.small < 2


@given(
    device=st.sampled_from(devices()),
    m=st.integers(1, 4000),
    n=st.integers(1, 2000),
    k=st.integers(1, 4000),
    more=st.integers(1, 1000),
)
def test_more_work_is_never_faster(device: object, m: int, n: int, k: int, more: int) -> None:
    pricer = Pricer(device, coefficients())  # type: ignore[arg-type]

    def seconds(rows: int, nbytes: int) -> float:
        return pricer.price(work(Way(Math.DIRECT, Product(rows, n, k), Traffic.OPERAND, nbytes))).total_s

    assert seconds(m + more, m) >= seconds(m, m) * (1 - 1e-9)
    assert seconds(m, m + more) >= seconds(m, m)
