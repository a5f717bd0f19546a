"""Networks turned fully convolutional: the same logits, maps of scores, and what evaluating them takes."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
import torch

from vggprof import api, views
from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.memory.verdict import Status
from vggprof.target import Target
from vggprof.trace import Mode, Setup
from vggprof.units import format_bytes, format_count
from vggprof.workloads.dense import SCALES, Evaluation, Way, scales_for


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, and no cuDNN to ask."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())


def logits(arch: str, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What *arch* and its dense form, with the same weights, say of *images*."""
    torch.manual_seed(7)
    plain, dense = (api.build(each).eval() for each in (arch, f"{arch} with dense"))
    dense.load_state_dict(api.dense_weights(plain.state_dict(), dense.state_dict()))
    with torch.no_grad():
        return plain(images), dense(images)


@pytest.mark.parametrize(
    ("arch", "shape"),
    [
        ("vgg16@width=8", (3, 224, 224)),
        ("vgg11_bn@width=8", (3, 224, 224)),
        ("vgg11-d2l@width=8", (1, 224, 224)),
        ("alexnet", (3, 224, 224)),
        ("alexnet-2012", (3, 227, 227)),
    ],
)
def test_same_logits_on_the_spec_s_own_input(arch: str, shape: tuple[int, int, int]) -> None:
    plain, dense = logits(arch, torch.randn(2, *shape))
    assert plain.shape == dense.shape
    assert plain.std() > 1e-3  # weights are random, but not nothing
    torch.testing.assert_close(dense, plain, atol=1e-5, rtol=0)


UNPADDED = """
name: unpadded
source: made for this test
input: 1x32x32
layers:
  - conv1: {conv: 4, kernel: 5, then: relu}
  - pool1: {max_pool: 2}
  - conv2: {conv: 8, kernel: 5, then: relu}
  - pool2: {max_pool: 2}
  - flatten
  - fc1: {linear: 16, then: relu}
  - fc2: {linear: 10}
"""


def test_a_larger_image_gives_the_mean_over_its_windows(tmp_path: Path) -> None:
    # Without padding each window sees what the plain network sees of it; two poolings make a step of 4,
    # so that 36 pixels hold two windows of 32 each way.
    spec = tmp_path / "unpadded.yaml"
    spec.write_text(UNPADDED)
    torch.manual_seed(7)
    plain, dense = api.build(str(spec)).eval(), api.build(f"{spec} with dense").eval()
    dense.load_state_dict(api.dense_weights(plain.state_dict(), dense.state_dict()))
    images = torch.randn(3, 1, 36, 36)
    with torch.no_grad():
        windows = [
            plain(images[:, :, down : down + 32, right : right + 32]) for down in (0, 4) for right in (0, 4)
        ]
        torch.testing.assert_close(dense(images), torch.stack(windows).mean(0), atol=1e-5, rtol=0)


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    plain, dense = api.build("lenet5").state_dict(), api.build("lenet5 with dense").state_dict()
    (name, *_), last = plain, list(plain)[-1]
    with pytest.raises(UsageError, match=f"no {name}"):
        api.dense_weights({key: value for key, value in plain.items() if key != name}, dense)
    with pytest.raises(UsageError, match="extra, which the dense network has not"):
        api.dense_weights({**plain, "extra": torch.zeros(1)}, dense)
    with pytest.raises(UsageError, match=f"{last} with 3 numbers, not 10"):
        api.dense_weights({**plain, last: torch.zeros(3)}, dense)


def evaluation(evaluations: tuple[Evaluation, ...], way: Way, *scales: int, mirrored: bool) -> Evaluation:
    (found,) = (
        each for each in evaluations if (each.way, each.scales, each.mirrored) == (way, scales, mirrored)
    )
    return found


def test_maps_and_work_of_vgg16() -> None:
    report = api.dense("vgg16", (256, 384), target=Target(gpu="RTX 3060"))
    one = evaluation(report.evaluations, Way.DENSE, 384, mirrored=False)
    both = evaluation(report.evaluations, Way.DENSE, 256, 384, mirrored=False)
    mirrored = evaluation(report.evaluations, Way.DENSE, 256, 384, mirrored=True)
    crops = evaluation(report.evaluations, Way.CROPS, 256, 384, mirrored=True)
    # 384 / 32 = 12, and 12 - 7 + 1 = 6. Features cost 15,346,630,656 at 224 (Table 1, the sum of macs_derived
    # over convolutions), in proportion to the pixels; the classifier 123,633,664 for each of 36 windows.
    assert both.score_maps == ((2, 2), (6, 6))
    assert one.macs == 15_346_630_656 * 384**2 // 224**2 + 36 * 123_633_664
    assert mirrored.macs == 2 * both.macs
    assert crops.macs == 100 * api.layers("vgg16", Setup(mode=Mode.INFER)).totals.macs
    assert (crops.crops, crops.images) == (100, 50)
    assert both.peak_bytes == one.peak_bytes < mirrored.peak_bytes < crops.peak_bytes
    assert both.card is not None
    assert both.card.prediction.status is Status.FITS
    predicted = api.memory(
        "vgg16 with dense; input 384", Setup(mode=Mode.INFER), Target(gpu="RTX 3060")
    ).single
    assert predicted is not None
    assert both.card.prediction.process == predicted.prediction.process
    assert [error.top1_percent for error in report.errors] == [27.0, 26.8, 25.6]


def test_scales_are_the_paper_s_in_proportion_to_the_input() -> None:
    # Tables 4 and 5 for S in [256, 512], of networks that take 224 pixels: 8/7, 12/7 and 16/7 of those.
    assert scales_for(224) == SCALES == (256, 384, 512)
    assert scales_for(28) == (32, 48, 64)
    assert scales_for(227) == (259, 389, 519)  # 259.43, 389.14, 518.86


@pytest.mark.parametrize(
    ("arch", "scales", "told"), [("lenet5", (32, 48, 64), True), ("alexnet", SCALES, False)]
)
def test_scales_that_nobody_names(
    arch: str, scales: tuple[int, ...], capsys: pytest.CaptureFixture[str], *, told: bool
) -> None:
    report = api.dense(arch)
    assert report.evaluations[3].scales == scales
    note = "Test scales are 32 48 64: to an input of 28 pixels what the paper's 256 384 512 are to its 224."
    assert (note in report.assumptions) is told
    assert all("Test scales" not in each for each in api.dense(arch, scales).assumptions)
    assert run(["dense", arch, "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)["evaluations"]
    assert tuple(shown[3]["scales"]) == scales


def test_the_worst_scale_decides() -> None:
    report = api.dense("alexnet", (224, 8192), target=Target(gpu_memory="1.5GiB"))
    states = {
        each.scales: each.card.prediction.status
        for each in report.evaluations
        if each.card is not None and each.way is Way.DENSE and not each.mirrored
    }
    assert states[224,] is not Status.OOM
    assert states[8192,] is Status.OOM
    assert states[224, 8192] is Status.OOM


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("vgg16 --scales 192", "test scale 192 is smaller than the input of vgg16, 224 pixels"),
        ("vgg16 --scales 256,many", "'256,many' are no test scales"),
        ("vgg16 --scales 256,256", "different test scales"),
        ("vgg16 --scales 99999", "no whole number from 1 to"),
        ("resnet18", "resnet18 cannot be made fully convolutional: avgpool makes 1x1 of 7x7"),
        ("nin", "nin cannot be made fully convolutional"),
        ("torchvision.models:vgg16", "only specs can be edited"),
        ("vgg16 --batch 0", "batch 0 cannot be run"),
    ],
)
def test_what_cannot_be_evaluated(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dense", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_tables_say_what_the_evaluations_are() -> None:
    # 224 -> one score; 288 / 32 = 9, and 9 - 7 + 1 = 3 scores each way.
    report = api.dense("vgg11", (224, 288), target=Target(gpu="RTX 3060"))
    both = evaluation(report.evaluations, Way.DENSE, 224, 288, mirrored=True)
    assert both.card is not None
    base = report.evaluations[0].macs
    rows = [" ".join(line.split()) for line in views.dense(report, Form.TABLE).splitlines()]
    macs = f"{format_count(both.macs)} {both.macs / base:.2f} x"
    assert f"dense 224,288 yes 1x1 3x3 {macs}" in rows
    process = both.card.prediction.process.high
    sizes = f"{format_bytes(both.peak_bytes)} {format_bytes(process)}"
    assert f"dense 224,288 yes 2 {sizes} FITS on GeForce RTX 3060 12GB" in rows
    assert "single test scale 256 256 29.6 10.4 3" not in rows  # neither scale is 256


def test_forms_tell_the_same() -> None:
    report = api.dense("alexnet", (256,), Setup(batch=2, mode=Mode.INFER), Target())
    told = json.loads(views.dense(report, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.dense(report, Form.CSV))))
    assert len(rows) == sum(len(each["devices"]) for each in told["evaluations"]) > 3
    assert {int(row["macs"]) for row in rows} == {each["macs"] for each in told["evaluations"]}
    assert [each["images"] for each in told["evaluations"]] == [2, 4, 100]
    assert told["published_errors"] == []
    for form in (Form.TABLE, Form.MARKDOWN):
        assert "50 crops" in views.dense(report, form)
