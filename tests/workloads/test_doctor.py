"""What `vggprof doctor` says with and without a GPU, and what keeps torch from one."""

import csv
import json
import os
import sys
from dataclasses import replace
from io import StringIO

import pytest

from vggprof import api, views
from vggprof.cli.run import run
from vggprof.devices import GpuHere, Survey, find_device
from vggprof.forms import Form
from vggprof.memory.workspaces.targets import Choice
from vggprof.target import Target
from vggprof.trace import Optimizer, Setup
from vggprof.units import GIB
from vggprof.workloads import doctor as room
from vggprof.workloads.doctor import Diagnosis, Software

Captured = pytest.CaptureFixture[str]

RTX_3060 = GpuHere(
    device=find_device("RTX 3060"),
    in_catalogue=True,
    index=0,
    uuid="GPU-1",
    name="NVIDIA GeForce RTX 3060",
    total_bytes=12 * GIB,
    reserved_bytes=None,
    free_bytes=11 * GIB,
    used_bytes=0,
    processes=(),
)
HERE = Survey((RTX_3060,), driver_version="590.10", cuda_version=(13, 1))
NONE = Survey((), reason="no NVIDIA driver is installed")


@pytest.fixture
def _machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine whose torch was built for CUDA 13.2, without a cuDNN to ask."""
    software = Software("2.15.0+cu132", (13, 2), None, 16 * GIB)
    monkeypatch.setattr(room, "_software", lambda _cudnn: software)
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def on(machine: pytest.MonkeyPatch, survey: Survey, *more: str) -> Diagnosis:
    machine.setattr("vggprof.target.survey", lambda: survey)
    machine.setattr("vggprof.devices.survey", lambda: survey)
    return api.doctor(more, Setup(batch=4))


def test_a_gpu_on_which_both_run(_machine: pytest.MonkeyPatch, capsys: Captured) -> None:
    found = on(_machine, HERE, "lenet5")
    assert [(each.workload.arch, each.workload.setup.batch, each.fits) for each in found.answers] == [
        ("vgg11-d2l", 32, True),
        ("vgg16", 32, True),
        ("lenet5", 4, True),
    ]
    assert found.troubles == ()
    predicted = api.memory("lenet5", Setup(batch=4), Target()).single
    assert found.answers[2].card is not None
    assert predicted is not None
    assert found.answers[2].card.prediction.process == predicted.prediction.process
    assert run(["doctor", "--check"]) == 0
    said = capsys.readouterr().out
    assert "Driver 590.10, runs CUDA up to 13.1" in said
    assert "Largest batch that fits" in said


def test_memory_that_others_hold_is_missing(_machine: pytest.MonkeyPatch, capsys: Captured) -> None:
    full = replace(RTX_3060, used_bytes=10 * GIB, free_bytes=GIB)
    found = on(_machine, replace(HERE, gpus=(full,)))
    assert not any(each.fits for each in found.answers)
    assert run(["doctor", "--check"]) == 3
    said = capsys.readouterr()
    assert "no: out of memory" in said.out
    assert "others hold 10.00 GiB" in " ".join(said.out.split())
    assert said.err == "Error: does not fit the GPU that is here: the notebook, the timing script\n"


def test_a_gpu_that_torch_cannot_use(_machine: pytest.MonkeyPatch, capsys: Captured) -> None:
    _machine.setattr(room, "_software", lambda _cudnn: Software("2.15.0+cpu", None, None, 16 * GIB))
    found = on(_machine, HERE)
    assert not found.gpu_usable
    assert run(["doctor", "--check"]) == 4
    said = capsys.readouterr()
    assert said.out.count("no: see below; its memory would do (FITS)") == 2
    assert "torch 2.15.0+cpu, built without CUDA" in said.out
    assert said.err.startswith("Error: torch 2.15.0+cpu was built without CUDA")


def test_without_a_gpu_the_smallest_card_is_named(_machine: pytest.MonkeyPatch, capsys: Captured) -> None:
    found = on(_machine, NONE)
    assert all(each.card is None and each.smallest is not None and not each.fits for each in found.answers)
    assert found.troubles == ("no GPU: no NVIDIA driver is installed",)
    assert run(["doctor"]) == 0
    assert "no: no GPU; it fits from GeForce" in capsys.readouterr().out
    assert run(["doctor", "--check"]) == 4
    assert capsys.readouterr().err == "Error: no GPU: no NVIDIA driver is installed\n"


@pytest.mark.parametrize(
    ("survey", "cuda", "visible", "said"),
    [
        (replace(HERE, cuda_version=(12, 8)), (13, 2), None, "the driver runs CUDA up to 12.8"),
        (replace(HERE, cuda_version=(13, 0)), (13, 2), None, None),  # minor versions are compatible
        (HERE, None, None, "torch 2.15.0 was built without CUDA"),
        (HERE, (13, 2), "-1", "CUDA_VISIBLE_DEVICES='-1' hides all 1 GPUs"),
        (HERE, (13, 2), "0", None),
        (
            replace(HERE, gpus=(replace(RTX_3060, device=find_device("GTX 1080")),)),
            (13, 2),
            None,
            "below 7.5",
        ),
        (replace(HERE, gpus=(replace(RTX_3060, device=find_device("GTX 1080")),)), (12, 9), None, None),
    ],
)
def test_what_keeps_torch_from_a_gpu(
    survey: Survey, cuda: tuple[int, int] | None, visible: str | None, said: str | None
) -> None:
    troubles = tuple(room._troubles(survey, Software("2.15.0", cuda, None, None), visible))
    assert len(troubles) == (said is not None)
    assert said is None or said in troubles[0]


def test_the_two_workloads_train_with_plain_sgd() -> None:
    # The notebook's optimizer; the script takes gradients alone, which is as much.
    assert {each.setup for each in room.WORKLOADS} == {Setup(batch=32, optimizer=Optimizer.SGD)}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says what is available")
def test_memory_of_the_machine_is_in_bytes() -> None:
    total_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available_bytes = room._available_bytes()
    assert available_bytes is not None
    assert total_bytes / 1000 < available_bytes <= total_bytes  # in KiB it would be less than a thousandth


def test_software_is_read_without_importing_torch() -> None:
    import torch  # noqa: PLC0415 - to hold it against what was read

    found = room._software(Choice(None, None))
    assert found.torch == torch.__version__
    built = None if found.torch_cuda is None else ".".join(map(str, found.torch_cuda))
    assert built == torch.version.cuda


def test_forms_tell_the_same(_machine: pytest.MonkeyPatch) -> None:
    found = on(_machine, NONE)
    told = json.loads(views.doctor(found, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.doctor(found, Form.CSV))))
    assert not told["gpu_usable"]
    assert [row["verdict"] for row in rows] == [
        device["status"] for each in told["workloads"] for device in each["devices"]
    ]
    for form in (Form.TABLE, Form.MARKDOWN):
        assert "torch 2.15.0" in views.doctor(found, form)


def test_a_bad_arch_is_one_line(capsys: Captured) -> None:
    assert run(["doctor", "vgg61"]) == 2
    assert "unknown architecture 'vgg61'" in capsys.readouterr().err
