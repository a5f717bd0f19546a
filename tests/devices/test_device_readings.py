"""A GPU's sensors, with the driver faked at the C functions that nvidia-ml-py calls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pynvml
import pytest
from fake_nvml import MIB, NOT_SUPPORTED, Answer, Code, FakeDriver, FakeGpu, Ref

from vggprof.devices.readings import gpu_with_uuid
from vggprof.profiler.sensors import watched

Install = Callable[[FakeDriver], FakeDriver]

REASONS = pynvml.nvmlClocksThrottleReasonGpuIdle | pynvml.nvmlClocksThrottleReasonSwPowerCap


@dataclass
class BusyDriver(FakeDriver):
    """A driver that answers for the sensors of its first GPU; a `Code` in place of a value is a refusal."""

    clock: Answer = 1980
    celsius: Answer = 61
    milliwatts: Answer = 284_500
    reasons: Answer = REASONS

    def _nvmlDeviceGetHandleByUUID(self, uuid: Ref, handle: Ref) -> int:  # noqa: N802
        found = next((gpu for gpu in self.gpus if gpu.uuid.encode() == uuid.value), None)
        if found is None:
            return int(pynvml.NVML_ERROR_NOT_FOUND)
        handle._obj.contents = found.structure
        return 0

    def _nvmlDeviceGetClockInfo(self, _handle: Ref, kind: Ref, clock: Ref) -> int:  # noqa: N802
        assert kind.value == pynvml.NVML_CLOCK_SM
        return _put(self.clock, clock)

    def _nvmlDeviceGetTemperature(self, _handle: Ref, _sensor: Ref, celsius: Ref) -> int:  # noqa: N802
        return _put(self.celsius, celsius)

    def _nvmlDeviceGetPowerUsage(self, _handle: Ref, power: Ref) -> int:  # noqa: N802
        return _put(self.milliwatts, power)

    def _nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: Ref, reasons: Ref) -> int:  # noqa: N802
        return _put(self.reasons, reasons)


def _put(value: Answer, target: Ref) -> int:
    if isinstance(value, Code):
        return value
    target._obj.value = value
    return 0


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    installed: list[FakeDriver] = []

    def put(driver: FakeDriver) -> FakeDriver:
        monkeypatch.setattr(pynvml, "nvmlLib", driver)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        installed.append(driver)
        return driver

    yield put
    assert all(driver.open == 0 for driver in installed), "the driver was left open"


def test_all_that_a_gpu_says(install: Install) -> None:
    gpu = FakeGpu(used=3000 * MIB, compute=((41, 700 * MIB), (42, 900 * MIB)))
    install(BusyDriver((FakeGpu(uuid="GPU-0"), gpu)))
    with gpu_with_uuid("1") as found:
        assert found is not None
        reading = found.read(42)
    assert found.driver_version == "580.95.05"
    assert reading is not None
    assert (reading.used_bytes, reading.process_bytes) == (3000 * MIB, 900 * MIB)
    assert (reading.sm_clock_mhz, reading.temperature_c, reading.power_w) == (1980, 61, 284.5)
    assert reading.throttle_reasons == ("sw_power_cap",), "an idle GPU does not hold itself back"


def test_a_mig_slice_is_found_by_its_number(install: Install) -> None:
    install(BusyDriver((FakeGpu(uuid="GPU-0"), FakeGpu(uuid="MIG-1", used=7 * MIB))))
    with gpu_with_uuid("1") as found:
        assert found is not None
        reading = found.read(42)
    assert reading is not None
    assert reading.used_bytes == 7 * MIB


@pytest.mark.parametrize(
    ("listed", "held"),
    [
        (((4711, 900 * MIB),), 900 * MIB),  # in a container: by its number outside, and alone
        (((4711, 900 * MIB), (41, 700 * MIB)), None),
        ((), None),
    ],
)
def test_a_process_that_is_listed_by_another_number(
    listed: tuple[tuple[int, int], ...], held: int | None, install: Install
) -> None:
    install(BusyDriver((FakeGpu(compute=listed),)))
    with gpu_with_uuid("1") as found:
        assert found is not None
        reading = found.read(42)
    assert reading is not None
    assert reading.process_bytes == held


def test_refusals_are_answers(install: Install) -> None:
    no = NOT_SUPPORTED
    gpu = FakeGpu(memory=no, compute=no)
    install(BusyDriver((gpu,), clock=no, celsius=no, milliwatts=no, reasons=no))
    with gpu_with_uuid("1") as found:
        assert found is not None
        reading = found.read(42)
    assert reading is not None
    assert (reading.used_bytes, reading.process_bytes, reading.sm_clock_mhz) == (None, None, None)
    assert (reading.temperature_c, reading.power_w, reading.throttle_reasons) == (None, None, ())


@pytest.mark.parametrize(
    "driver",
    [
        BusyDriver((FakeGpu(uuid="GPU-0"),)),
        BusyDriver(init=pynvml.NVML_ERROR_DRIVER_NOT_LOADED),
    ],
    ids=["another GPU", "no driver"],
)
def test_without_the_gpu_there_are_no_readings(driver: FakeDriver, install: Install) -> None:
    install(driver)
    with watched("1") as sensors:
        sensors.look()
    assert sensors.readings == ()
    assert not sensors.throttled()


def test_a_driver_that_fails_at_the_end_is_no_error(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(driver: FakeDriver) -> int:
        driver.open -= 1
        return int(pynvml.NVML_ERROR_GPU_IS_LOST)

    install(BusyDriver((FakeGpu(),)))
    monkeypatch.setattr(FakeDriver, "_nvmlShutdown", fail)
    with watched("1") as sensors:
        sensors.look()
    assert sensors.readings


def test_a_lost_gpu_gives_no_reading(install: Install) -> None:
    install(BusyDriver((FakeGpu(),), milliwatts=Code(pynvml.NVML_ERROR_GPU_IS_LOST)))
    with watched("1") as sensors:
        sensors.look()
    assert sensors.readings == ()


def test_sensors_remember_that_the_gpu_held_itself_back(install: Install) -> None:
    driver = BusyDriver((FakeGpu(),))
    install(driver)
    with watched("1") as sensors:
        sensors.look()
        assert sensors.throttled()
        driver.reasons = 0
        sensors.look()
        assert not sensors.throttled()
    first, last = sensors.readings[0], sensors.readings[-1]
    assert first.throttle_reasons == ("sw_power_cap",)
    assert 0 <= first.at_ms <= last.at_ms
    assert sensors.driver == "580.95.05"
