"""Stages from resolutions."""

from collections.abc import Callable
from itertools import groupby

import pytest
import torch
from real_traces import INFER, TRAIN, row, spec_trace, table
from torch import Tensor, nn
from torch.nn import functional

from vggprof.analyzers import LayerTable, Stage, layer_table
from vggprof.trace import Layout, Mode, Setup


def by_stage(rows: LayerTable) -> dict[str, list[str]]:
    """Return the layers of each stage."""
    return {group.stage.name: [layer.name for layer in group.rows] for group in rows.groups}


# Table 1 of the VGG paper, columns A and D: convolutions by stage, a pooling at the end of each, three
# fully connected layers.
@pytest.mark.parametrize(("name", "convolutions"), [("vgg11", (1, 1, 2, 2, 2)), ("vgg16", (2, 2, 3, 3, 3))])
@pytest.mark.parametrize("setup", [TRAIN, INFER, Setup(batch=2, layout=Layout.CHANNELS_LAST)], ids=str)
def test_vgg_has_the_stages_of_the_paper(name: str, convolutions: tuple[int, ...], setup: Setup) -> None:
    rows = layer_table(spec_trace(name, setup))
    assert [stage.resolution for stage in rows.stages] == [
        (224, 224),
        (112, 112),
        (56, 56),
        (28, 28),
        (14, 14),
        None,
    ]
    for number, (group, count) in enumerate(zip(rows.groups, convolutions, strict=False), start=1):
        ops = [layer.op for layer in group.rows if layer.op in ("Conv2d", "MaxPool2d")]
        assert group.stage.name == f"stage{number}"
        assert ops == ["Conv2d"] * count + ["MaxPool2d"]
    classifier = rows.groups[-1]
    assert classifier.stage == Stage("classifier", None)
    assert [layer.op for layer in classifier.rows if layer.params] == ["Linear"] * 3
    assert {row.op: row.stage for row in rows.rows}.get("AdaptiveAvgPool2d", "stage5") == "stage5"
    assert next(row.stage for row in rows.rows if "latten" in row.op) == "stage5"


def test_resnet_50_has_a_stem_and_four_stages() -> None:
    rows = layer_table(spec_trace("resnet50", TRAIN))
    # The 1x1 convolution that begins a block with stride 2 still runs at the old resolution.
    assert [stage.resolution for stage in rows.stages] == [
        (112, 112),
        (56, 56),
        (28, 28),
        (14, 14),
        (7, 7),
        None,
    ]
    assert row(rows, "maxpool").stage == "stage1"
    assert [layer.op for layer in rows.groups[-1].rows] == ["Linear"]
    for number, stage in enumerate(("stage2", "stage3", "stage4", "stage5"), start=1):
        convolutions = [r for r in rows.rows if r.op == "Conv2d" and r.name.startswith(f"layer{number}.")]
        assert convolutions[-1].stage == stage
        assert {r.stage for r in convolutions[1:]} == {stage}


class Branches(nn.Module):
    """An Inception block that halves the resolution: a strided branch, a long branch and a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.short = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.long1, self.long2 = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.pool, self.after = nn.MaxPool2d(2), nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out: Tensor = self.after(torch.cat([self.short(x), self.long2(self.long1(x)), self.pool(x)], 1))
        return out


class SqueezeExcite(nn.Module):
    """Scales channels by what a global pooling says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.fc2(self.fc1(self.pool(x))))


def unet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ConvTranspose2d(4, 4, 2, stride=2),
        nn.Conv2d(4, 4, 1),
    )


class Offset(nn.Module):
    """Adds a matrix of parameters, made by a function, to a map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.offset, self.after = (
            nn.Conv2d(3, 4, 1),
            nn.Parameter(torch.empty(8, 8)),
            nn.Conv2d(4, 4, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.conv(x), 2)
        out: Tensor = self.after(x + torch.exp(self.offset))
        return out


def generator() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (8, 1, 1)), nn.ConvTranspose2d(8, 4, 4), nn.ConvTranspose2d(4, 4, 2, 2)
    )


class Head(nn.Module):
    """Has a second head before its last stage."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.side, self.main = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.one(x)
        side = self.side(x.mean((2, 3)))
        return self.main(self.two(x).mean((2, 3))), side


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, list[str]]]] = {
    "parallel branches": (
        Branches,
        {"stage1": ["stem", "long1", "pool"], "stage2": ["short", "long2", "cat", "after"]},
    ),
    "one pixel stays": (SqueezeExcite, {"stage1": ["conv", "pool", "fc1", "fc2", "sigmoid", "mul"]}),
    "down and up": (unet, {"stage1": ["0", "1"], "stage2": ["2"], "stage3": ["3", "4"]}),
    "padding belongs to the convolution after it": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ZeroPad2d(1), nn.Conv2d(4, 4, 3)),
        {"stage1": ["0", "1", "2"]},
    ),
    "a pooling before anything else": (
        lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 4, 1)),
        {"stage1": ["0", "1"]},
    ),
    "work on parameters stays with its neighbours": (
        Offset,
        {"stage1": ["conv", "max_pool2d", "exp"], "stage2": ["add", "after"]},
    ),
    "the classifier comes last": (
        Head,
        {"stage1": ["one", "mean"], "stage2": ["two", "mean#2"], "classifier": ["side", "main"]},
    ),
    "batch norm after a pooling": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)),
        {"stage1": ["0", "1"], "stage2": ["2", "3"]},
    ),
}


@pytest.mark.parametrize("setup", [TRAIN, INFER], ids=["train", "infer"])
@pytest.mark.parametrize(("make", "stages"), CASES.values(), ids=CASES)
def test_stages_follow_the_data(
    make: Callable[[], nn.Module], stages: dict[str, list[str]], setup: Setup
) -> None:
    assert by_stage(table(make, (3, 16, 16), setup)) == stages


@pytest.mark.parametrize("mode", Mode)
def test_a_dropout_after_flatten_is_in_the_classifier_whether_it_runs_or_not(mode: Mode) -> None:
    rows = layer_table(spec_trace("alexnet", Setup(batch=2, mode=mode)))
    stages = [stage for stage, _ in groupby(layer.stage for layer in rows.rows)]
    assert stages == ["stage1", "stage2", "stage3", "classifier"]
    assert next(layer for layer in rows.rows if layer.op == "Dropout").stage == "classifier"


def test_a_generator_grows_from_a_vector() -> None:
    rows = table(generator, (8,))
    assert [(layer.name, layer.stage) for layer in rows.rows] == [
        ("0", "stage1"),
        ("1", "stage1"),
        ("2", "stage2"),
    ]
    assert rows.stages == (Stage("stage1", (4, 4)), Stage("stage2", (8, 8)))


def test_a_network_of_linear_layers_is_a_classifier() -> None:
    rows = table(lambda: nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), (8,))
    assert by_stage(rows) == {"classifier": ["0", "1", "2"]}
