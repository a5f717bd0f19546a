"""Training on Fashion-MNIST for real, with small files made here: it learns, and says what it took."""

import csv
import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from idx_files import head, make_data, write

from vggprof import api, views
from vggprof.cli.fashion import fashion_command
from vggprof.cli.run import run
from vggprof.forms import Form
from vggprof.target import Target
from vggprof.trace import Optimizer, Setup
from vggprof.units import format_bytes
from vggprof.views.document import Unit, say
from vggprof.workloads.fashion import Epoch, FashionPlan, FashionReport, MeasuredMemory, Pass
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
    again, other = (api.fashion(replace(trained.plan, epochs=1, seed=seed)) for seed in (0, 1))
    # Sums of floats may differ in their last places from run to run.
    first = pytest.approx(trained.trained.epochs[0].train.loss, rel=1e-5)
    assert again.trained.epochs[0].train.loss == first
    assert other.trained.epochs[0].train.loss != first


def test_memory_is_predicted_for_the_batch_that_there_is(data: Path, trained: FashionReport) -> None:
    few = api.fashion(FashionPlan(data, arch=VGG, samples=5, epochs=1, batch=8, device="cpu"))
    for report, batch in ((few, 5), (trained, 8)):
        tensors = api.memory(VGG, Setup(batch=batch, optimizer=Optimizer.SGD)).tensors
        assert report.predicted.tensors.peak.allocated_bytes == tensors.peak.allocated_bytes
    assert "batch 5, training with sgd" in views.fashion(few, Form.TABLE)


def test_every_image_is_seen_once_an_epoch_with_its_label(data: Path) -> None:
    from vggprof.workloads.running import fashion  # noqa: PLC0415 - needs Pillow

    pictures = read_pictures(data, "train")
    plan = FashionPlan(data, arch="lenet5@input=1x28x28", batch=16, device="cpu")
    training = fashion._Training(plan, fashion._network(plan), "cpu")
    orders = []
    for _ in range(2):
        seen: list[tuple[bytes, int]] = []

        def look(x: torch.Tensor, y: torch.Tensor, seen: list[tuple[bytes, int]] = seen) -> None:
            pixels = (x * 255).round().to(torch.uint8).flatten(1)
            seen += [(bytes(each.tolist()), int(label)) for each, label in zip(pixels, y, strict=True)]
            training._out, training._loss = torch.eye(10)[y], torch.tensor(float(len(y)))

        training._learn = look  # type: ignore[method-assign]
        done = training.once(pictures)
        # 80 images in batches of 16, whose "loss" is 16 and whose answers are all right.
        assert (done.samples, done.loss, done.accuracy) == (80, 16.0, 1.0)
        assert sorted(seen) == sorted((pictures.image(at), pictures.labels[at]) for at in range(80))
        orders.append(seen)
    assert orders[0] != orders[1]


def test_the_notebook_s_numbers(data: Path) -> None:
    plan = FashionPlan(data)
    assert (plan.arch, plan.epochs, plan.batch, plan.learning_rate) == ("vgg11-d2l", 5, 32, 0.05)
    assert plan.setup() == Setup(batch=32, optimizer=Optimizer.SGD)
    defaults = {option.name: option.default for option in fashion_command.params}
    for name in ("arch", "epochs", "batch", "learning_rate", "device", "seed"):
        assert defaults[name] == getattr(plan, name), name


def test_weights_begin_as_keras_begins_them() -> None:
    from vggprof.workloads.running import fashion  # noqa: PLC0415 - needs Pillow

    torch.manual_seed(0)
    layer = torch.nn.Linear(300, 500)
    fashion._like_keras(layer)
    # Glorot and Bengio 2010, eq. 16: uniform up to sqrt(6 / (inputs + outputs)).
    limit = math.sqrt(6 / 800)
    assert 0.99 * limit < float(layer.weight.detach().abs().max()) <= limit
    assert not layer.bias.any()


def test_an_epoch_is_a_row(trained: FashionReport) -> None:
    epoch = Epoch(Pass(100, 1.5, 0.25, 4.0), Pass(50, 2.5, 0.5, 1.0))
    report = replace(trained, trained=replace(trained.trained, epochs=(epoch,)))
    rows = [" ".join(line.split()) for line in views.fashion(report, Form.TABLE).splitlines()]
    assert "1 1.50 25.0 % 4.00 25.00 2.50 50.0 % 1.00 50.00" in rows
    (told,) = json.loads(views.fashion(report, Form.JSON))["epochs"]
    keys = ("samples", "loss", "accuracy", "time_ms", "samples_per_s")
    assert told["train"] == dict(zip(keys, (100, 1.5, 0.25, 4000, 25), strict=True))
    assert told["test"] == dict(zip(keys, (50, 2.5, 0.5, 1000, 50), strict=True))


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
        (f"--seed {2**64}", "a seed has 64 bits"),
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


def test_images_of_another_size_to_test_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_data(tmp_path, train=4, test=4)
    write(tmp_path / "t10k-images-idx3-ubyte.gz", head(4, 20, 30) + bytes(4 * 20 * 30))
    assert run(["fashion", "--data", str(tmp_path), "--arch", VGG, "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "holds images of 28x28 to train on, but of 20x30 to test" in said


def test_forms_tell_the_same(trained: FashionReport) -> None:
    told = json.loads(views.fashion(trained, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.fashion(trained, Form.CSV))))
    assert [float(row["test_loss"]) for row in rows] == [each["test"]["loss"] for each in told["epochs"]]
    assert told["measured"]["allocated_bytes"] is None
    assert told["predicted"]["tensors_bytes"] == trained.predicted.tensors.peak.allocated_bytes
    assert (told["train_images"], told["test_images"], told["setup"]["batch"]) == (20, 20, 8)
    for form in (Form.TABLE, Form.MARKDOWN):
        assert "20 images to train on, 20 to test" in views.fashion(trained, form)


def test_measured_memory_stands_beside_the_predicted(trained: FashionReport) -> None:
    tensors = trained.predicted.tensors.peak.allocated_bytes
    measured = replace(trained.trained, memory=MeasuredMemory(resident_bytes=3 * 2**30))
    said = views.fashion(replace(trained, trained=measured), Form.TABLE).splitlines()
    (line,) = (line for line in said if line.startswith("process on the CPU"))
    assert line.split()[-4:] == [*format_bytes(tensors).split(), "3.00", "GiB"]
    on_gpu = replace(measured, device="cuda", memory=MeasuredMemory(2**30, 2**31))
    predicted = api.memory(VGG, trained.setup, Target(gpu="RTX 3060"))
    said = views.fashion(replace(trained, trained=on_gpu, predicted=predicted), Form.TABLE).splitlines()
    assert predicted.single is not None
    prediction = predicted.single.prediction
    for begins, likely, gib in (
        ("PyTorch allocates", prediction.peak_allocated.likely, "1.00"),
        ("PyTorch reserves", prediction.peak_reserved.likely, "2.00"),
    ):
        (line,) = (line for line in said if line.startswith(begins))
        wanted = [*say(likely, Unit.BYTES).split(), gib, "GiB"]  # - where no cuDNN can be asked
        assert line.split()[-len(wanted) :] == wanted


def test_a_loss_that_is_no_number_is_said(trained: FashionReport) -> None:
    epoch = trained.trained.epochs[0]
    lost = replace(epoch, train=replace(epoch.train, loss=None))
    report = replace(trained, trained=replace(trained.trained, epochs=(lost,)))
    assert "The loss is no number any more" in views.fashion(report, Form.TABLE)
    assert json.loads(views.fashion(report, Form.JSON))["epochs"][0]["train"]["loss"] is None
