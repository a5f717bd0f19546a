"""Which stages of a calibration a training counts, and what its prediction makes of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vggprof import api
from vggprof.cli.run import run
from vggprof.devices import Device, GpuHere, Range, Survey, find_device
from vggprof.devices.calibration_files import remember
from vggprof.devices.calibrations import SOURCE, Calibration, MeasuredRun, Method, Run, Stage, StageBytes
from vggprof.memory.context import run_of, stages_of
from vggprof.target import Target
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Setup
from vggprof.units import GIB, MIB

CARD = "GeForce RTX 3060 12GB"
TRAINED = {Stage.CONTEXT, Stage.POOL_LOSS, Stage.CONV_FORWARD, Stage.CONV_BACKWARD, Stage.OPTIMIZER}

# Powers of two, in MiB, so that a sum tells which stages it is made of.
SIZES = {stage: 2**number for number, stage in enumerate(Stage)}
ONE = Calibration(
    device=CARD,
    name="NVIDIA GeForce RTX 3060",
    uuid="GPU-1",
    driver="580.95.05",
    torch="2.15.0+cu130",
    cuda="13.0",
    cudnn="9.26.0",
    loading="lazy",
    usable_bytes=11 * GIB,
    method=Method.PROCESS,
    alone=True,
    measured="2026-01-02T03:04:05Z",
    vggprof="0.1.0",
    runs=tuple(
        MeasuredRun(kind, tuple(StageBytes(stage, n * MIB, n * MIB) for stage, n in SIZES.items()))
        for kind in Run
    ),
)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep calibrations here, and let no GPU and no cuDNN be here but torch 2.15."""
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_MODULE_LOADING", raising=False)
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey((), reason="no driver"))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    monkeypatch.setattr("vggprof.target.installed_version", lambda package: "2.15.0")


@pytest.mark.parametrize(
    ("arch", "setup", "stages"),
    [
        ("lenet5", Setup(), TRAINED | {Stage.LINEAR}),
        ("nin", Setup(), TRAINED),  # no matrix product: it ends in a pooling
        ("vgg11_bn", Setup(), TRAINED | {Stage.LINEAR, Stage.BATCH_NORM}),
        ("lenet5", Setup(layout=Layout.CHANNELS_LAST), TRAINED | {Stage.LINEAR, Stage.CHANNELS_LAST}),
        (
            "lenet5",
            Setup(mode=Mode.INFER),
            {Stage.CONTEXT, Stage.POOL_LOSS, Stage.CONV_FORWARD, Stage.LINEAR},
        ),
    ],
)
def test_stages_by_the_operators_of_a_real_trace(arch: str, setup: Setup, stages: set[Stage]) -> None:
    trace = api.trace_arch(arch, setup)
    assert stages_of(trace, benchmark=False) == stages
    assert stages_of(trace, benchmark=True) == stages | {Stage.BENCHMARK}


@pytest.mark.parametrize(
    ("setup", "kind"),
    [
        (Setup(optimizer=Optimizer.ADAM), Run.TRAIN_FP32),
        (Setup(amp=Amp.FP16), Run.TRAIN_AMP),
        (Setup(amp=Amp.BF16), Run.TRAIN_AMP),
        (Setup(mode=Mode.INFER), Run.INFER_FP32),
        (Setup(mode=Mode.INFER, amp=Amp.FP16), Run.INFER_FP16),
        (Setup(mode=Mode.INFER, dtype=Dtype.FP16), Run.INFER_FP16),
    ],
)
def test_the_run_that_is_like_it(setup: Setup, kind: Run) -> None:
    assert run_of(setup) is kind


def test_a_prediction_uses_it_and_says_so() -> None:
    remember(ONE)
    report = api.memory("lenet5", Setup(), Target(gpu=CARD))
    assert report.single is not None
    # All but batch norm, channels_last and the benchmark (64, 128, 256 MiB), which ran after all others.
    assert report.single.prediction.context == Range.exact(63 * MIB)
    assert report.single.prediction.usable_bytes == 11 * GIB
    (said,) = [line for line in report.assumptions if "calibrate" in line]
    assert said.startswith(f"{CARD}: context and usable memory as `vggprof calibrate` measured on 2026-01-02")
    assert ONE.made_with in said
    assert not any("published" in line for line in report.assumptions)


def test_the_same_training_by_json_is_an_exact_number(capsys: pytest.CaptureFixture[str]) -> None:
    remember(ONE)
    assert run(["memory", "lenet5", "--gpu", CARD, "--format", "json"]) == 0
    prediction = json.loads(capsys.readouterr().out)["prediction"]
    assert prediction["context_bytes"] == 63 * MIB
    assert "context_bytes_low" not in prediction


def test_what_is_between_one_call_and_a_variety_stays_a_range() -> None:
    varied = tuple(replace(one, most_bytes=2 * one.most_bytes) for one in ONE.runs[0].stages)
    remember(replace(ONE, runs=(MeasuredRun(Run.TRAIN_FP32, varied),)))
    report = api.memory("lenet5", Setup(), Target(gpu=CARD))
    assert report.single is not None
    assert report.single.prediction.context == Range(63 * MIB, 63 * MIB * 3 // 2, 126 * MIB)


def test_a_run_that_was_not_measured_falls_back_to_what_is_published() -> None:
    remember(replace(ONE, runs=ONE.runs[:1]))
    report = api.memory("lenet5", Setup(mode=Mode.INFER), Target(gpu=CARD))
    assert any("published" in line for line in report.assumptions)
    assert not any("calibrate" in line for line in report.assumptions)


def context(target: Target) -> Calibration | None:
    (card,) = target.cards()
    return card.calibration


def test_only_that_gpu_with_that_torch_uses_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    remember(ONE)
    assert context(Target(gpu="RTX 3060")) == ONE
    assert context(Target(gpu="RTX 3060", torch="2.15", cudnn="9.26")) == ONE
    assert context(Target(gpu="RTX 3060 8GB")) is None
    assert context(Target(gpu="RTX 3060", torch="2.13")) is None
    assert context(Target(gpu="RTX 3060", cudnn="9.20")) is None
    assert context(Target(gpu_memory="12GiB")) is None
    monkeypatch.setenv("CUDA_MODULE_LOADING", "EAGER")
    assert context(Target(gpu="RTX 3060")) is None


def test_a_size_of_ones_own_replaces_the_usable_memory_alone() -> None:
    remember(ONE)
    (card,) = Target(gpu="RTX 3060", gpu_memory="8GiB").cards()
    assert card.calibration == ONE
    assert card.device.usable == Range.exact(8 * GIB)
    assert card.device.usable_source == "as given"


def test_the_ladder_uses_it_for_its_card() -> None:
    remember(ONE)
    cards = Target().cards()
    assert [card.device.name for card in cards if card.calibration is not None] == [CARD]
    report = api.memory("lenet5")
    assert [line.partition(" ")[0] for line in report.assumptions if "published" in line] == ["Elsewhere"]


def here(device: Device, driver: str) -> Survey:
    gpu = GpuHere(device, True, 0, "GPU-1", ONE.name, None, None, None, 5 * MIB, ())
    return Survey((gpu,), driver, (13, 0))


def test_the_gpu_that_is_here_wants_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(ONE)
    card = find_device(CARD)
    monkeypatch.setattr("vggprof.target.survey", lambda: here(card, "580.95.05"))
    for target in (Target(), Target(gpu="auto")):
        (found,) = target.cards()
        assert found.calibration == ONE
        assert found.held_by_others_bytes == 5 * MIB
        assert found.device.usable_source == SOURCE
    monkeypatch.setattr("vggprof.target.survey", lambda: here(card, "590.1"))
    (found,) = Target(gpu="auto").cards()
    assert found.calibration is None
    report = api.memory("lenet5")
    assert any(
        "a calibration is remembered, but for torch 2.15.0+cu130" in line for line in report.assumptions
    )


def test_shown_forgotten_and_damaged_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = remember(ONE)
    assert run(["calibrate", "--show", "--gpu", "3060", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["done"] == "remembered"
    assert [one["device"] for one in shown["calibrations"]] == [CARD]
    assert shown["calibrations"][0]["runs"][0]["stages"][0] == {
        "stage": "context",
        "least_bytes": MIB,
        "most_bytes": MIB,
    }
    assert run(["calibrate", "--show", "--forget"]) == 2
    assert run(["calibrate", "--gpu", "3060"]) == 2
    path.write_text("{")
    assert run(["memory", "lenet5", "--gpu", CARD]) == 2
    assert path.name in capsys.readouterr().err
    remember(replace(ONE, uuid="GPU-2"))
    path.unlink()
    assert run(["calibrate", "--forget"]) == 0
    assert "dropped from" in capsys.readouterr().out
    assert list(path.parent.iterdir()) == []


def test_a_name_that_fits_several_cards_is_said() -> None:
    said = api.memory("lenet5", Setup(), Target(gpu="rtx 3060")).assumptions
    assert f"rtx 3060 is taken for the {CARD}; it could also be: GeForce RTX 3060 8GB." in said
    assert not any(
        "taken for" in line for line in api.memory("lenet5", Setup(), Target(gpu=CARD)).assumptions
    )
