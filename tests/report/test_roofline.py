"""What a layer can reach, by hand."""

from dataclasses import replace

import pytest

from vggprof import api
from vggprof.compare import profile
from vggprof.compare.times import Times
from vggprof.devices import find_device
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.report.roofline import dots, roof_of
from vggprof.trace import Amp, Mode, Setup

A100 = find_device("A100 SXM4 40GB")
SETTINGS = CudnnSettings()


def test_the_roof_bends_where_memory_no_longer_limits() -> None:
    roof = roof_of(A100, Setup(), SETTINGS)
    assert roof.rates == ("tf32", "fp32")
    bandwidth = 1_555_200_000_000  # bytes a second, NVIDIA's A100 data sheet: 1,555 GB/s
    assert A100.bandwidth_bytes_per_s == pytest.approx(bandwidth, rel=1e-3)
    assert roof.allowed(1.0, "tf32") == A100.bandwidth_bytes_per_s
    assert roof.allowed(1e6, "tf32") == pytest.approx(156e12, rel=0.01)  # the same data sheet: 156 TFLOP/s
    assert roof.allowed(1e6, "fp32") == pytest.approx(19.5e12, rel=0.01)


@pytest.mark.parametrize(
    ("setup", "settings", "rates"),
    [
        (Setup(), CudnnSettings(allow_tf32=False), ("fp32",)),
        (Setup(amp=Amp.BF16), SETTINGS, ("bf16",)),
        (Setup(amp=Amp.FP16), SETTINGS, ("fp16",)),
        (Setup(mode=Mode.INFER), SETTINGS, ("tf32", "fp32")),
    ],
)
def test_layers_run_on_the_units_of_their_precision(
    setup: Setup, settings: CudnnSettings, rates: tuple[str, ...]
) -> None:
    assert roof_of(A100, setup, settings).rates == rates


def test_a_gpu_without_such_units_runs_on_the_ordinary_ones() -> None:
    turing = roof_of(find_device("GTX 1650"), Setup(), SETTINGS)
    assert turing.rates == ("fp32",)
    assert turing.peak("tf32") == turing.peak("fp32")


def test_untimed_dots_lie_on_the_roof_and_timed_ones_where_they_were() -> None:
    found = profile(api.trace_arch("lenet5", Setup(batch=4)))
    roof = roof_of(A100, Setup(batch=4), SETTINGS)
    layers = [row for row in found.table.rows if row.macs]
    untimed = dots(found, roof, SETTINGS)
    assert [dot.layer for dot in untimed] == [row.name for row in layers]
    assert all(dot.flops_per_s == dot.intensity * A100.bandwidth_bytes_per_s for dot in untimed)
    timed = replace(found, times=Times(100.0, {layers[0].name: 2.0}, "somebody"))
    first, *others = dots(timed, roof, SETTINGS)
    work = 2 * (layers[0].macs + layers[0].macs_backward)
    assert first.timed
    assert first.flops_per_s == pytest.approx(work / 0.002)
    assert others == list(untimed[1:])
