"""Crops at random scales: what they hold, that they repeat, how fast they come, when steps wait."""

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof import api, views
from vggprof.cli.jitter import _scales, jitter_command
from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.target import Target
from vggprof.trace import Setup
from vggprof.units import format_bytes
from vggprof.workloads.jitter import JitterPlan, JitterReport, Pace, Pipeline, Scales, Step

Image = pytest.importorskip("PIL.Image")
running = pytest.importorskip("vggprof.workloads.running.jitter")


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, and no cuDNN to ask."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())


def gradient(width: int, height: int) -> object:
    """A picture whose red says the column and whose green the row, from 0 to 255."""
    pixels = bytes(
        value
        for row in range(height)
        for column in range(width)
        for value in (255 * column // (width - 1), 255 * row // (height - 1), 0)
    )
    return Image.frombytes("RGB", (width, height), pixels)


class Fixed:
    """One picture, many times."""

    def __init__(self, picture: object, count: int) -> None:
        self._picture, self._count = picture, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[object, int]:
        return self._picture, index


def test_a_crop_shows_a_part_at_its_scale() -> None:
    # 400 x 300 at S = 256 is 341 x 256, so that a crop of 224 shows 224/341 of the columns and 224/256 of the
    # rows: red spans 255 * 224 / 341 = 167.5, green 223.1, give or take the steps of the gradient.
    crops = running.ScaleJitter(Fixed(gradient(400, 300), 40), Scales(256, 256))
    mirrored = 0
    for index in range(40):
        crop, label = crops[index]
        assert label == index
        assert crop.shape == (3, 224, 224)
        assert crop.dtype == torch.float32
        red, green = crop[0, 112], crop[1, :, 112]
        assert abs(float(red.max() - red.min()) * 255 - 167.5) < 3
        assert abs(float(green[-1] - green[0]) * 255 - 223.1) < 3
        mirrored += bool(red[0] > red[-1])
    assert 8 < mirrored < 32


def test_scales_are_drawn_from_the_whole_range() -> None:
    # The span of green is 255 * 224 / S on a square picture: S from 256 to 512 gives 223 down to 111.6.
    crops = running.ScaleJitter(Fixed(gradient(256, 256), 60), Scales(256, 512))
    scales = [
        224 * 255 / (255 * float(crop[1, -1, 0] - crop[1, 0, 0]))
        for crop, _ in map(crops.__getitem__, range(60))
    ]
    assert min(scales) < 280
    assert max(scales) > 480
    assert 350 < sum(scales) / len(scales) < 420


def test_what_is_drawn_repeats_and_changes_with_the_epoch() -> None:
    pictures = Fixed(gradient(300, 300), 3)
    one, two = (running.ScaleJitter(pictures, Scales(256, 512)) for _ in range(2))
    assert all(torch.equal(one[index][0], two[index][0]) for index in (2, 0, 1))
    before = one[0][0]
    one.epoch = 1
    assert not torch.equal(one[0][0], before)
    assert not torch.equal(running.ScaleJitter(pictures, Scales(256, 512), seed=1)[0][0], before)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(32, 80), st.integers(0, 40), st.integers(0, 999))
def test_every_crop_lies_in_its_picture(width: int, height: int, low: int, more: int, seed: int) -> None:
    white = Image.new("RGB", (width, height), (255, 255, 255))
    crop = running.cropped(white, Scales(low, low + more), (32, 24), random.Random(seed))
    assert crop.size == (24, 32)
    assert crop.getextrema() == ((255, 255),) * 3  # beyond the picture it would be black


def test_pictures_in_folders_have_labels(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/2.JPG", "b/c/3.bmp", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 30), 7).save(tmp_path / name) if "txt" not in name else (tmp_path / name).touch()
    pictures, said = running.pictures_of(tmp_path)
    assert [pictures[index][1] for index in range(len(pictures))] == [0, 1, 2]
    assert pictures[0][0].mode == "RGB"
    assert said == f"3 pictures of {tmp_path}"


def pace(brought: float, taken: float, workers: int = 0) -> Pace:
    pipeline = Pipeline(Scales(256, 256), round(10 * brought), 10.0, workers)
    return Pace(pipeline, Step("a GPU", 1000 * 32 / taken, 32), epoch_images=3600)


def test_who_waits_for_whom() -> None:
    slow, fast = pace(30, 100), pace(200, 100, workers=4)
    # 100 images a second at 30 a process are four processes; 3600 images at 30 a second two minutes.
    assert (slow.input_bound, slow.workers_needed, slow.epoch_s) == (True, 4, 120)
    assert (fast.input_bound, fast.workers_needed, fast.epoch_s) == (False, 2, 36)


def test_the_pipeline_runs_and_memory_is_that_of_any_training() -> None:
    setup, plan = Setup(batch=4), JitterPlan(seconds=0.2, epoch_images=1000)
    report = api.jitter("alexnet", setup, Target(gpu="RTX 3060"), plan)
    assert [str(each.scales) for each in report.pipelines] == ["S = 256", "S = 384", "S in [256, 512]"]
    assert all(each.images >= 8 and each.seconds >= 0.2 for each in report.pipelines)
    plain = api.memory("alexnet", setup, Target(gpu="RTX 3060")).single
    assert plain is not None
    assert report.memory.single is not None
    assert report.memory.single.prediction.process == plain.prediction.process
    latency = api.latency("alexnet", setup, Target(gpu="RTX 3060")).single
    assert latency is not None
    assert [step.step_ms for step in report.steps] == [latency.step.likely]
    # In the mean over 256 to 512 squared: (512 * 513 * 1025 - 255 * 256 * 511) / 6 / 257 = 152,960.
    assert report.pipelines[2].scales.pixels == pytest.approx(152_960 / 65_536)


def test_a_step_that_takes_long_waits_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["jitter", "lenet5@input=3x28x28", "--scales", "32", "--seconds", "0.05", "--step-ms"]
    assert run([*words, "100000"]) == 0
    assert "No step waits" in capsys.readouterr().out
    assert run([*words, "0.001"]) == 0
    assert "Input-bound: 1 of 1 steps wait for their images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("alexnet --scales 200", "images at scale 200 are smaller than the crop of 224x224"),
        ("alexnet --scales 512-256", "scales from 512 to 256 make no sense"),
        ("alexnet --scales 256,large", "'large' is no scale"),
        ("vgg11-d2l", "vgg11-d2l takes 1x224x224; scale jitter is for images in colour"),
        ("alexnet --workers -1", "-1 workers make no sense"),
        ("alexnet --step-ms 0", "step_ms 0.0 makes no sense"),
        ("alexnet --seconds nan", "seconds nan makes no sense"),
        ("alexnet --epoch-images 0", "an epoch of 0 images makes no sense"),
        ("alexnet --data /nowhere", "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_measured(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jitter", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named_in_one_line(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["jitter", "alexnet", "--data", str(tmp_path)]) == 2
    assert "holds no pictures" in capsys.readouterr().err
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    words = ["jitter", "alexnet", "--data", str(tmp_path), "--workers", str(workers), "--step-ms", "9"]
    assert run(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {tmp_path / 'bad.jpg'} is no picture that Pillow can read")
    assert error.count("\n") == 1


def test_forms_tell_the_same() -> None:
    plan = JitterPlan((Scales(32, 32), Scales(32, 64)), seconds=0.05, step_ms=10, epoch_images=100)
    report = api.jitter("lenet5@input=3x28x28", Setup(batch=2), Target(), plan)
    told = json.loads(views.jitter(report, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.jitter(report, Form.CSV))))
    assert [float(row["images_per_s"]) for row in rows] == [each["images_per_s"] for each in told["paces"]]
    assert told["paces"][0]["taken_per_s"] == 200
    for form in (Form.TABLE, Form.MARKDOWN):
        assert "made for this" in views.jitter(report, form)
    assert "An epoch of 100 images" not in views.jitter(replace(report, steps=()), Form.TABLE)


def test_tables_say_what_the_paces_are() -> None:
    # 100 images at 256 in 2 s and 80 at 512 in 4 s; steps of 2 x 4 images in 100 ms take 80 a second.
    pipelines = (Pipeline(Scales(256, 256), 100, 2.0, 1), Pipeline(Scales(512, 512), 80, 4.0, 1))
    setup, card = Setup(batch=4, accumulate=2), Target(gpu="RTX 3060")
    memory = api.memory("alexnet", setup, card)
    step = Step("as given", 100.0, 8)
    report = JitterReport("alexnet", setup, (224, 224), "none", memory, pipelines, (step,), 288_000)
    said = [line.strip() for line in views.jitter(report, Form.TABLE).splitlines()]
    rows = [" ".join(line.split()) for line in said]
    # A step of 8 waits where it takes less than 8 / 50 or 8 / 20 s; 288,000 images at 50 a second are 1.6
    # hours.
    assert "S = 256 1.00 x 50.00 1.00 x 160.00" in rows
    assert "S = 512 4.00 x 20.00 0.40 x 400.00" in rows
    assert "as given 100.00 80.00 S = 256 yes 2 1.60" in rows
    assert "as given 100.00 80.00 S = 512 yes 4 4.00" in rows
    assert memory.single is not None
    tensors, process = memory.tensors.peak.allocated_bytes, memory.single.prediction.process.high
    assert (
        f"Memory at every scale: {format_bytes(tensors)} of tensors, process up to {format_bytes(process)}; "
        "FITS on GeForce RTX 3060 12GB"
    ) in said
    told = json.loads(views.jitter(report, Form.JSON))
    assert [each["epoch_s"] for each in told["paces"]] == [5760, 14_400]
    assert told["tensors_bytes"] == tensors


def test_batches_that_were_ready_do_not_count() -> None:
    taken: list[int] = []

    def batches() -> Iterator[list[torch.Tensor]]:
        while True:
            taken.append(len(taken))
            yield [torch.empty(8, 0)]

    found = running._timed(batches(), Scales(32, 32), JitterPlan(seconds=1e-9, workers=3))
    # One that was begun before and two that each of three workers had prefetched (torch's prefetch_factor).
    assert len(taken) == 1 + 2 * 3 + 1
    assert (found.images, found.workers) == (8, 3)


def test_the_command_s_defaults_are_the_plan_s() -> None:
    defaults = {option.name: option.default for option in jitter_command.params}
    assert tuple(map(_scales, str(defaults["scales"]).split(","))) == JitterPlan().scales
    for name in ("workers", "seconds", "epoch_images"):
        assert defaults[name] == getattr(JitterPlan(), name), name


def test_without_pillow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 - for this alone

    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in ("pillow", "jitter"):
        monkeypatch.delitem(sys.modules, f"vggprof.workloads.running.{name}")
    with pytest.raises(UsageError, match=r"pip install 'vggprof\[train\]'"):
        api.jitter("alexnet")
