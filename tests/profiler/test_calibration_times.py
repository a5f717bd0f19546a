"""Times of a calibration, without a GPU: what is asked, what is kept, and how a prediction takes it up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pynvml
import pytest
from fake_nvml import MIB, FakeDriver, FakeGpu
from measurement_made import GPU
from test_calibrations import ONE

from vggprof import api
from vggprof.devices import GpuHere, gpus_here
from vggprof.devices.calibration_files import remember, times_file
from vggprof.devices.calibration_listing import TimedStep
from vggprof.errors import GpuUnavailable
from vggprof.measurement import Conditions, Measurement, Samples, Status, Timing, write_measurements
from vggprof.profiler import calibration, calibration_times
from vggprof.profiler.calibration_times import time_steps
from vggprof.profiler.plan import Request
from vggprof.target import Target
from vggprof.trace import Amp, Setup, Trace

Say = Callable[[str], None]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GpuHere:
    """A GeForce RTX 3060, as a faked driver shows it, and nothing remembered yet."""
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(pynvml, "nvmlLib", FakeDriver((FakeGpu(used=MIB),)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    (gpu,) = gpus_here()
    return gpu


def lenet(_arch: str, setup: Setup) -> Trace:
    return api.trace_arch("lenet5", Setup(batch=setup.batch))


def made(request: Request, _say: Say) -> Measurement:
    """A measurement as `isolation.measure` returns it: a step of an image a millisecond."""
    batch = float(request.conditions.setup.batch)
    timing = Timing("cuda events", Samples((batch,) * 20))
    return Measurement(request.conditions, GPU, Status.OK, timing=timing)


def test_networks_are_timed_with_and_without_tensor_cores(here: GpuHere) -> None:
    said: list[str] = []
    found = time_steps(here, lenet, said.append, measure=made)
    setups = [each.conditions.setup for each in found]
    assert {setup.amp for setup in setups} == {Amp.OFF, Amp.FP16}
    assert {each.conditions.device for each in found} == {"cuda"}
    assert {1, 16} <= {setup.batch for setup in setups}
    assert said[0] == "NVIDIA GeForce RTX 3060: timing vgg11 at batch 16"
    assert len(said) == len(found)
    old = replace(here, device=replace(here.device, tensor_fma_per_sm=None))
    assert {each.conditions.setup.amp for each in time_steps(old, lenet, said.append, measure=made)} == {
        Amp.OFF
    }


def test_what_does_not_run_is_said_and_left_out(here: GpuHere) -> None:
    def fails(request: Request, say: Say) -> Measurement:
        done = made(request, say)
        if request.conditions.arch == "vgg11":
            return replace(done, status=Status.OOM, message="out of memory")
        if request.conditions.arch == "alexnet":
            return replace(done, environment=replace(GPU, device_name="Tesla T4"))
        return done

    said: list[str] = []
    found = time_steps(here, lenet, said.append, measure=fails)
    assert {each.conditions.arch for each in found} == {"resnet18"}
    assert "no time of vgg11 at batch 16 under amp fp16: out of memory" in said
    assert "no time of alexnet at batch 64: it ran on Tesla T4" in said


def test_a_gpu_that_goes_away_ends_it(here: GpuHere) -> None:
    def gone(_request: Request, _say: Say) -> Measurement:
        raise GpuUnavailable("no driver")

    said: list[str] = []
    assert time_steps(here, lenet, said.append, measure=gone) == ()
    assert said[1:] == ["no times: no driver"]


def test_a_calibration_keeps_times_lists_them_and_forgets_them(
    here: GpuHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "calibrate", lambda _gpu, _say: ONE)
    monkeypatch.setattr(
        calibration_times, "time_steps", lambda *_: tuple(made(asked(n), print) for n in (4, 8))
    )
    expected = ((TimedStep("lenet5", 4, "off", 4.0, 20), TimedStep("lenet5", 8, "off", 8.0, 20)),)
    assert api.calibrate().times == expected
    assert times_file(ONE).exists()
    assert api.list_calibrations().times == expected
    monkeypatch.setattr(calibration_times, "time_steps", lambda *_: ())
    assert api.calibrate().times == ((),)  # older times are not those of this calibration
    assert not times_file(ONE).exists()
    write_measurements([made(asked(4), print)], times_file(ONE))
    assert api.forget_calibrations().calibrations == (ONE,)
    assert list(times_file(ONE).parent.iterdir()) == []


def asked(batch: int) -> Request:
    trace = lenet("", Setup(batch=batch))
    conditions = Conditions("lenet5", Setup(batch=batch), "cuda")
    return Request(conditions, calibration_times._PLAN, trace)


@pytest.mark.usefixtures("here")
def test_a_prediction_for_that_gpu_and_torch_is_drawn_to_them() -> None:
    target = Target(gpu=ONE.device, torch="2.15", cudnn="9.26")
    plain = api.latency("lenet5", Setup(batch=32), target).single
    assert plain is not None
    assert plain.refined is None
    remember(ONE)
    write_measurements([made(asked(16), print)], times_file(ONE))
    drawn = api.latency("lenet5", Setup(batch=32), target)
    assert drawn.single is not None
    assert drawn.single.refined is not None
    assert drawn.single.refined.sources == ("lenet5 at batch 16, training, 20 steps",)
    assert drawn.single.step.likely > plain.step.likely
    assert any(
        "drawn to those measured on such a GPU (lenet5 at batch 16" in one for one in drawn.assumptions
    )
    other = api.latency("lenet5", Setup(batch=32), replace(target, torch="2.13")).single
    assert other is not None
    assert other.refined is None
