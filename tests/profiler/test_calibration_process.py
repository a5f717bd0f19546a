"""What a calibration runs, and its process, as far as both go without a GPU."""

import json
from pathlib import Path

import pynvml
import pytest
import torch
from fake_nvml import FORBIDDEN, MIB, Code, FakeDriver, FakeGpu

from vggprof.cli.run import run as run_command
from vggprof.devices import gpus_here
from vggprof.devices.calibrations import Method, Run, Stage
from vggprof.devices.nvml import session
from vggprof.errors import GpuUnavailable
from vggprof.profiler import calibration, calibration_work
from vggprof.profiler.calibration import Told, calibration_of, environment, tell
from vggprof.profiler.calibration_process import main, reading
from vggprof.profiler.calibration_work import work
from vggprof.profiler.readings import MORE

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="what happens without a GPU")

GPU = FakeGpu(used=1500 * MIB, compute=((77, 1400 * MIB),))


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """Put a driver here that knows one GPU."""
    fake = FakeDriver((GPU,))
    monkeypatch.setattr(pynvml, "nvmlLib", fake)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return fake


@pytest.mark.parametrize("run", [Run.TRAIN_FP32, Run.INFER_FP32])
def test_every_stage_of_a_run_and_all_its_variety(run: Run) -> None:
    named = list(work(run, "meta"))  # torch checks every shape and dtype there, and computes nothing
    stages = [Stage(name.removesuffix(MORE)) for name in named]
    backward = {Stage.CONV_BACKWARD, Stage.OPTIMIZER}
    assert set(stages) == set(Stage) - (set() if run is Run.TRAIN_FP32 else backward)
    assert named[0] == "context"
    assert named[1::2] == [name.removesuffix(MORE) for name in named[2::2]]


@pytest.mark.parametrize("run", Run)
def test_the_stages_compute_on_the_cpu_in_every_precision(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_work, "_CONVS", ((4, 4, 3, 1, 1, 8), (4, 4, 3, 2, 4, 8)))
    monkeypatch.setattr(calibration_work, "_PRODUCTS", ((8, 8, 2),))
    before = torch.backends.cudnn.benchmark
    named = list(work(run, "cpu", ("",)))
    assert len(named) == len(set(named)) == (9 if run in (Run.TRAIN_FP32, Run.TRAIN_AMP) else 7)
    assert torch.backends.cudnn.benchmark is before


def test_a_reading_is_what_nvml_says(driver: FakeDriver) -> None:
    with session() as nvml:
        row = reading("before", nvml.gpu_named("GPU-1"))
        assert row["gpu"] == 1500 * MIB
        assert row["processes"] == [[77, 1400 * MIB]]
    assert json.loads(json.dumps(row)) == row
    assert driver.open == 0


def test_a_reading_where_the_driver_refuses(driver: FakeDriver) -> None:
    driver.gpus = (FakeGpu(memory=Code(FORBIDDEN), compute=Code(FORBIDDEN)),)
    with session() as nvml:
        row = reading("before", nvml.gpu_named("GPU-1"))
    assert row["gpu"] is row["processes"] is None


def test_a_mig_slice_is_reached_by_its_own_name(driver: FakeDriver) -> None:
    part = FakeGpu(uuid="MIG-5", used=7 * MIB, total=9728 * MIB)
    driver.gpus = (FakeGpu(mig=(1, 1), slices=(part,)),)
    with session() as nvml:
        assert reading("before", nvml.gpu_named("MIG-5"))["gpu"] == 7 * MIB
    (here,) = gpus_here()
    assert environment(here, {})["CUDA_VISIBLE_DEVICES"] == "MIG-5"


@without_gpu
def test_torch_that_finds_no_gpu(driver: FakeDriver, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        "train_fp32", "GPU-1"
    )  # the driver is faked, torch is real: it was built without CUDA, or finds none
    output = capsys.readouterr().out
    assert [json.loads(line).get("stage") for line in output.splitlines()] == ["before", None]
    with pytest.raises(GpuUnavailable, match=r"^torch cannot use the GPU: .*(driver|without CUDA)") as raised:
        tell(output)
    assert "\n" not in str(raised.value)
    assert driver.open == 0


@without_gpu
def test_a_gpu_that_is_gone_when_the_process_starts(
    driver: FakeDriver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # This process sees the faked driver, the one that measures is a real one, without any.
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path))
    assert run_command(["calibrate"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[0] == "NVIDIA GeForce RTX 3060: measuring training in fp32"
    assert said.err.splitlines()[1].startswith("Error: no NVIDIA driver is installed")
    assert len(said.err.splitlines()) == 2
    assert driver.open == 0


def test_the_process_sees_that_gpu_alone_and_the_allocator_as_it_is(driver: FakeDriver) -> None:
    (here,) = gpus_here()
    given = {"PATH": "/bin", "PYTORCH_ALLOC_CONF": "backend:cudaMallocAsync", "CUDA_VISIBLE_DEVICES": "1,0"}
    assert environment(here, given) == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "GPU-1"}
    driver.gpus = (FakeGpu(uuid=Code(FORBIDDEN)),)
    (nameless,) = gpus_here()
    assert environment(nameless, given)["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment(nameless, given)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def told(*, alone: bool, nvml: bool) -> Told:
    """Rows of a process that holds 300 MiB, then 400, of which PyTorch's are 2."""
    mine = [[] if alone else [[9, MIB]], [[5, 300 * MIB]], [[5, 400 * MIB]]]
    rows = tuple(
        {
            "stage": stage,
            "gpu": held * MIB if nvml else None,
            "processes": [[pid, used if nvml else None] for pid, used in listed] + ([] if alone else mine[0]),
            "me": 5,
            "runtime_used": held * MIB,
            "reserved": 2 * MIB,
        }
        for stage, held, listed in zip(("before", "context", "linear"), (0, 300, 400), mine, strict=True)
    )
    return Told({"torch": "2.15.0+cu130", "cuda": "13.0", "cudnn": 92600, "total_memory": 99}, rows)


def test_what_the_processes_told_becomes_a_calibration(driver: FakeDriver) -> None:
    (here,) = gpus_here()
    runs = {run: told(alone=True, nvml=True) for run in (Run.TRAIN_FP32, Run.INFER_FP32)}
    made = calibration_of(here, runs, driver="580.95.05", measured="2026-01-02T03:04:05Z")
    assert (made.device, made.uuid, made.driver) == ("GeForce RTX 3060 12GB", "GPU-1", "580.95.05")
    assert (made.torch, made.cuda, made.cudnn) == ("2.15.0+cu130", "13.0", "9.26.0")
    assert (made.usable_bytes, made.method, made.alone) == (99, Method.PROCESS, True)
    assert [run.run for run in made.runs] == [Run.TRAIN_FP32, Run.INFER_FP32]
    assert [(one.stage, one.least_bytes) for one in made.runs[0].stages] == [
        (Stage.CONTEXT, 298 * MIB),
        (Stage.LINEAR, 100 * MIB),
    ]


def test_others_that_cannot_be_told_apart_are_no_calibration(driver: FakeDriver) -> None:
    (here,) = gpus_here()
    runs = {Run.TRAIN_FP32: told(alone=False, nvml=False)}
    with pytest.raises(GpuUnavailable, match="calibrate while it is idle"):
        calibration_of(here, runs, driver=None, measured="")


def test_a_process_that_dies_or_is_silent() -> None:
    with pytest.raises(GpuUnavailable, match="said nothing"):
        tell("")
    with pytest.raises(GpuUnavailable, match=r"^out of memory$"):
        tell('{"stage": "before"}\n{"error": "out of memory"}\n')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_calibration_of_the_gpu_that_is_here() -> None:
    made = calibration.calibrate(calibration.gpu_to_measure())
    assert made.torch == torch.__version__
    assert made.usable_bytes == torch.cuda.mem_get_info()[1]
    assert [run.run for run in made.runs] == list(Run)
    for run in made.runs:
        by_stage = {one.stage: one for one in run.stages}
        assert by_stage[Stage.CONTEXT].least_bytes > 32 * MIB
        assert by_stage[Stage.CONV_FORWARD].most_bytes > 0
        assert sum(one.most_bytes for one in run.stages) < 8192 * MIB
