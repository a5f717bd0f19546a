"""The whole answer: traced networks on cards, and what the report derives from them."""

import json
from dataclasses import replace
from functools import cache

import pytest

from vggprof import api, views
from vggprof.devices import find_device
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.latency.coefficients import Spread
from vggprof.latency.curve import Curve
from vggprof.latency.interval import Interval, interval
from vggprof.latency.predict import Latency
from vggprof.latency.report import LatencyReport, epoch_of
from vggprof.target import Target
from vggprof.trace import Amp, Setup

SPREAD = Spread(large=1.2, small=1.4, unmeasured=1.5)


@cache
def report(gpu: str = "Tesla V100 SXM2 16GB", batch: int = 64, execution: str = "eager") -> LatencyReport:
    """LeNet-5 on a card that cuDNN cannot be asked about, so that every machine gives the same."""
    return api.latency(
        "lenet5", Setup(batch=batch), Target(gpu=gpu), execution=execution, dataset_size=60_000
    )


def only(answer: LatencyReport) -> Latency:
    assert answer.single is not None
    return answer.single


def test_the_phases_are_the_step() -> None:
    latency = only(report())
    assert latency.backward is not None
    assert latency.optimizer is not None
    parts = latency.forward.likely + latency.backward.likely + latency.optimizer.likely
    assert latency.step.likely == pytest.approx(parts)
    assert sum(latency.bounds_ms.values()) == pytest.approx(latency.busy_ms)
    assert latency.busy_ms <= latency.step.likely


def test_every_layer_has_its_passes() -> None:
    layers = {layer.name: layer for layer in only(report()).layers}
    convolution = next(layer for layer in layers.values() if layer.op == "Conv2d")
    assert convolution.forward_ms > 0
    assert convolution.dgrad_ms is None  # nobody wants the gradient of the images
    assert convolution.wgrad_ms is not None
    assert convolution.share_of_peak is not None
    assert 0 < convolution.share_of_peak < 1
    linear = [layer for layer in layers.values() if layer.op == "Linear"]
    assert all(layer.dgrad_ms and layer.wgrad_ms for layer in linear)


def test_depthwise_convolutions_reach_a_share_of_the_lanes() -> None:
    answer = api.latency("mobilenet_v2", Setup(batch=8), Target(gpu="Tesla V100 SXM2 16GB"))
    depthwise = [layer for layer in only(answer).layers if "native" in layer.algorithms]
    assert len(depthwise) == 17
    for layer in depthwise:
        # torch's own kernels reach 0.05 of the fp32 lanes, where neither traffic nor the launch takes longer.
        assert layer.share_of_peak is not None
        assert 0.005 < layer.share_of_peak <= 0.05
        assert layer.dgrad_ms is not None
        assert layer.wgrad_ms == pytest.approx(layer.dgrad_ms)
    assert only(answer).step.likely < 60


def test_what_cudnn_does_not_take_is_columns_and_a_product() -> None:
    """bf16 before Ampere, of which `use_cudnn` in ATen/native/Convolution.cpp says no."""
    setup, target = Setup(batch=8, amp=Amp.BF16), Target(gpu="Tesla T4")
    layers = [layer for layer in only(api.latency("vgg11", setup, target)).layers if layer.op == "Conv2d"]
    assert all(layer.algorithms == ("product",) for layer in layers)
    assert all(layer.share_of_peak and 0.01 < layer.share_of_peak < 1 for layer in layers)
    first, *others = layers
    assert first.dgrad_ms is None
    assert all(layer.dgrad_ms and layer.wgrad_ms and layer.dgrad_ms < layer.wgrad_ms for layer in others)
    # One channel of grey images is no depthwise convolution.
    grey = only(api.latency("lenet5", setup, target)).layers
    assert {layer.algorithms for layer in grey if layer.op == "Conv2d"} == {("product",)}


def test_inference_has_neither_backward_nor_optimizer() -> None:
    latency = only(api.latency("lenet5", Setup(batch=8, mode="infer"), Target(gpu="Tesla V100 SXM2 16GB")))  # type: ignore[arg-type]
    assert (latency.backward, latency.optimizer) == (None, None)
    assert all(layer.dgrad_ms is None and layer.wgrad_ms is None for layer in latency.layers)


def test_a_graph_is_not_slower_and_a_small_net_waits_for_the_host() -> None:
    eager, graph = only(report()), only(report(execution="graph"))
    assert eager.host_bound
    assert not graph.host_bound
    assert graph.step.likely < eager.step.likely


def test_a_larger_batch_takes_no_less() -> None:
    steps = [only(report(batch=batch)).step.likely for batch in (64, 256, 1024)]
    assert steps == sorted(steps)


def test_an_interval_is_a_factor_up_and_down() -> None:
    assert interval(10, batch=12, spread=SPREAD, measured=True) == Interval(10 / 1.2, 10, 12)
    assert interval(10, batch=11, spread=SPREAD, measured=True).high == pytest.approx(14)


def test_an_interval_is_wider_where_nothing_was_measured() -> None:
    assert interval(10, batch=12, spread=SPREAD, measured=False).high == pytest.approx(18)
    hopper = only(report("H100 SXM5 80GB"))
    assert not hopper.measured
    known, unknown = (each.step.high / each.step.likely for each in (only(report()), hopper))
    assert unknown > known


def test_an_interval_has_its_ends_in_order() -> None:
    with pytest.raises(UsageError, match="no interval"):
        Interval(2, 1, 3)


def test_an_epoch_counts_whole_batches() -> None:
    # 60,000 images in batches of 64: 937.5, so 938 steps.
    epoch = report().epoch
    assert epoch is not None
    assert epoch.steps == 938
    step = only(report()).step
    assert epoch.hours.likely == pytest.approx(938 * step.likely / 3_600_000)
    assert epoch_of(only(report()), 64).steps == 1


def test_the_knee_is_the_first_batch_near_the_best_that_fits() -> None:
    base = only(report())
    # 100, 190, 200 and 210 images a second; the last does not fit, so 90 % of 200 is enough.
    points = tuple(
        replace(base, batch=batch, images=batch, step=Interval(ms, ms, ms))
        for batch, ms in ((1, 10.0), (2, 2000 / 190), (4, 20.0), (8, 8000 / 210))
    )
    curve = Curve(points, largest_batch=4)
    assert [point.batch for point in curve.fitting] == [1, 2, 4]
    assert curve.knee is points[1]
    assert Curve(points, largest_batch=0).knee is None


def test_json_has_the_keys_that_others_build_on() -> None:
    read = json.loads(views.latency(report(), Form.JSON))
    assert read["command"] == "latency"
    for phase in ("forward_ms", "backward_ms", "optimizer_ms", "step_ms"):
        ends = read["prediction"][phase]
        assert 0 < ends["low"] < ends["likely"] < ends["high"]
    assert read["images_per_s"] > 0
    keys = {"name", "forward_ms", "dgrad_ms", "wgrad_ms", "bound", "share_of_peak"}
    assert all(keys <= set(layer) for layer in read["layers"])
    assert read["assumptions"]
    assert read["epoch"]["steps"] == 938


def test_a_ladder_has_a_row_a_card() -> None:
    latencies = tuple(only(report(gpu)) for gpu in ("Tesla V100 SXM2 16GB", "H100 SXM5 80GB"))
    text = views.latency(replace(report(), cards=latencies, epoch=None), Form.TABLE)
    assert "Tesla V100 SXM2 16GB" in text
    assert "H100 SXM5 80GB" in text
    assert "No GPU was named" in text


def test_pictures_show_the_memorys_end_and_the_knee() -> None:
    base = only(report())
    points = tuple(
        replace(base, batch=batch, images=batch, step=Interval(ms, ms, 2 * ms))
        for batch, ms in ((1, 10.0), (2, 11.0), (4, 20.0))
    )
    drawn = replace(report(), curve=Curve(points, largest_batch=2))
    text, svg = views.latency_plot(drawn), views.latency_svg(drawn)
    assert text.splitlines()[-4].endswith("beyond the memory")
    assert "largest batch that the memory likely holds is 2" in text
    assert svg.startswith("<svg")
    assert 'class="memory"' in svg
    assert 'class="knee"' in svg
    assert views.latency_plot(report()) == views.latency_svg(report()) == ""


def test_changes_come_best_first_and_only_where_they_are_any() -> None:
    answer = api.latency("lenet5", Setup(batch=4), Target(gpu="Tesla V100 SXM2 16GB"), changes=True)
    gains = [change.gain for change in answer.changes]
    assert gains == sorted(gains, reverse=True)
    named = {change.what for change in answer.changes}
    assert {"batch 8", "graph", "fp16", "channels_last", "fp16 and channels_last"} == named
    assert "bf16" not in named  # Volta has none


def test_what_needs_one_card_refuses_several() -> None:
    from vggprof.latency.answer import Wanted  # noqa: PLC0415

    with pytest.raises(UsageError, match="no epoch"):
        Wanted(dataset_images=0)
    with pytest.raises(UsageError, match="need an ARCH"):
        api.latency(api.trace_arch("lenet5"), target=Target(gpu="T4"), curve=True)


def test_cards_are_those_of_the_catalogue() -> None:
    assert only(report()).device == find_device("Tesla V100 SXM2 16GB")
