"""Training on Fashion-MNIST for real, with small files made here: it learns, and says what it took."""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from idx_files import make_data

from vggprof import api, views
from vggprof.cli.run import run
from vggprof.forms import Form
from vggprof.workloads.fashion import FashionPlan, FashionReport, MeasuredMemory, Pass
from vggprof.workloads.idx import read_pictures

pytest.importorskip("PIL")

VGG = "vgg11-d2l@width=4,input=1x32x32"
SMALL = """
name: small
source: made for this test
input: 1x14x14
layers:
  - conv1: {conv: 8, kernel: 3, padding: 1, then: relu}
  - pool1: {max_pool: 2}
  - flatten
  - fc1: {linear: 10}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("fashion"), train=80, test=40)


@pytest.fixture(scope="module")
def trained(data: Path) -> FashionReport:
    """VGG-11, narrow and on small images, on a few samples."""
    return api.fashion(FashionPlan(data, arch=VGG, samples=20, epochs=2, batch=8, device="cpu"))


def test_it_learns_what_can_be_seen(data: Path, tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(SMALL)
    heard: list[str] = []
    report = api.fashion(FashionPlan(data, arch=str(spec), epochs=12, batch=8, device="cpu"), heard.append)
    first, last = report.trained.epochs[0], report.trained.epochs[-1]
    assert first.train.loss is not None
    assert last.train.loss is not None
    assert last.train.loss < first.train.loss / 2
    # Ten classes: chance is 10 %. The test images are others of the same classes.
    assert last.test.accuracy > 0.5 > first.train.accuracy
    assert len(heard) == 12
    assert heard[0].startswith("epoch 1 of 12: loss ")


def test_vgg_11_trains_and_says_what_it_took(trained: FashionReport) -> None:
    assert [(epoch.train.samples, epoch.test.samples) for epoch in trained.trained.epochs] == [(20, 20)] * 2
    # ln 10 = 2.303 is what guessing among ten classes costs.
    losses = [epoch.train.loss for epoch in trained.trained.epochs]
    assert all(loss is not None and 2 < loss < 2.6 for loss in losses)
    memory = trained.trained.memory
    assert memory.allocated_bytes is None
    # Weights and gradients are real: 4 x 2 x parameters at least. None where the process once held more.
    assert memory.resident_bytes is None or memory.resident_bytes > 8 * api.layers(VGG).totals.params / 2
    assert trained.predicted.tensors.peak.allocated_bytes > 8 * api.layers(VGG).totals.params


def test_the_same_seed_gives_the_same_losses(data: Path, trained: FashionReport) -> None:
    again = api.fashion(replace(trained.plan, epochs=1))
    assert again.trained.epochs[0].train.loss == trained.trained.epochs[0].train.loss
    other = api.fashion(replace(trained.plan, epochs=1, seed=1))
    assert other.trained.epochs[0].train.loss != trained.trained.epochs[0].train.loss


def test_images_are_enlarged_and_stay_what_they_are(data: Path) -> None:
    from vggprof.workloads.running.fashion import enlarged  # noqa: PLC0415 - needs Pillow

    pictures = read_pictures(data, "train")
    same, large = (enlarged(pictures, 3, (side, side)) for side in (28, 224))
    assert same.shape == (1, 28, 28)
    assert large.shape == (1, 224, 224)
    assert torch.equal(
        (same * 255).round().to(torch.uint8).flatten(),
        torch.tensor(list(pictures.image(3)), dtype=torch.uint8),
    )
    # Class 3 is bright in rows 8 to 13 of 28, so in rows 64 to 111 of 224.
    assert large[0, 72:104].min() > 0.6
    assert large[0, :56].max() < 0.3
    assert 0 <= large.min() <= large.max() <= 1


def test_running_out_of_memory_is_a_result(
    data: Path, trained: FashionReport, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vggprof.workloads.running import fashion  # noqa: PLC0415 - needs Pillow

    def fail(*_: object) -> Pass:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 392.00 MiB.\nmore")

    monkeypatch.setattr(fashion._Training, "evaluate", fail)
    words = [
        "fashion",
        "--data",
        str(data),
        "--arch",
        VGG,
        "--samples",
        "8",
        "--epochs",
        "2",
        "--device",
        "cpu",
    ]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "Out of memory after 0 epochs of 2: CUDA out of memory. Tried to allocate 392.00 MiB." in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--arch vgg11", "vgg11 takes images of 3x224x224; Fashion-MNIST's have one channel"),
        ("--arch vgg11-d2l@classes=4,width=4,input=1x32x32", "10 classes are wanted"),
        ("--epochs 0", "epochs 0 makes no sense"),
        ("--samples 0", "samples 0 makes no sense"),
        ("--learning-rate 0", "learning rate 0.0 makes no sense"),
        ("--learning-rate nan", "learning rate nan makes no sense"),
        ("--data /nowhere", "there is no file /nowhere/train-images-idx3-ubyte.gz"),
    ],
)
def test_what_cannot_be_trained(
    words: str, said: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fashion", "--data", str(data), "--device", "cpu", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_forms_tell_the_same(trained: FashionReport) -> None:
    told = json.loads(views.fashion(trained, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.fashion(trained, Form.CSV))))
    assert [float(row["test_loss"]) for row in rows] == [each["test"]["loss"] for each in told["epochs"]]
    assert told["measured"]["allocated_bytes"] is None
    assert told["predicted"]["tensors_bytes"] == trained.predicted.tensors.peak.allocated_bytes
    for form in (Form.TABLE, Form.MARKDOWN):
        assert "20 images to train on, 20 to test" in views.fashion(trained, form)


def test_a_loss_that_is_no_number_is_said(trained: FashionReport) -> None:
    epoch = trained.trained.epochs[0]
    lost = replace(epoch, train=replace(epoch.train, loss=None))
    report = replace(
        trained, trained=replace(trained.trained, epochs=(lost,), memory=MeasuredMemory(2**20, 2**21))
    )
    said = views.fashion(report, Form.TABLE)
    assert "The loss is no number any more" in said
    assert "2.00 MiB" in said
    assert json.loads(views.fashion(report, Form.JSON))["epochs"][0]["train"]["loss"] is None
