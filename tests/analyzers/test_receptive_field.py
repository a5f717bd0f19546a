"""Receptive fields of layers: published ones, and by hand."""

import csv
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from real_traces import INFER, row, table
from torch import Tensor, nn
from torch.nn import functional

from vggprof.analyzers import Field, LayerTable

PUBLISHED = Path(__file__).parents[1] / "data" / "published" / "receptive_field.csv"
# Channels do not matter to a field; the VGG columns A and D by their convolutions a stage.
VGG = {"vgg_a": (1, 1, 2, 2, 2), "vgg_16": (2, 2, 3, 3, 3)}


def published(net: str) -> list[dict[str, str]]:
    with PUBLISHED.open(newline="") as file:
        return [line for line in csv.DictReader(file) if line["cnn"] == net]


def vgg(convolutions: tuple[int, ...]) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, count in enumerate(convolutions, start=1):
        for number in range(1, count + 1):
            layers[f"conv{stage}/conv{stage}_{number}"] = nn.Conv2d(3, 3, 3, padding=1)
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


def alexnet_v2() -> nn.Module:
    """Return TF-slim's AlexNet: poolings and the first convolution do not pad, the others "same"."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 3, 11, stride=4),
            pool1=nn.MaxPool2d(3, stride=2),
            conv2=nn.Conv2d(3, 3, 5, padding="same"),
            pool2=nn.MaxPool2d(3, stride=2),
            conv3=nn.Conv2d(3, 3, 3, padding="same"),
            conv4=nn.Conv2d(3, 3, 3, padding="same"),
            conv5=nn.Conv2d(3, 3, 3, padding="same"),
            pool5=nn.MaxPool2d(3, stride=2),
        )
    )


NETS: dict[str, Callable[[], nn.Module]] = {
    "vgg_a": lambda: vgg(VGG["vgg_a"]),
    "vgg_16": lambda: vgg(VGG["vgg_16"]),
    "alexnet_v2": alexnet_v2,
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("resolution", ["224", "321"])
def test_every_published_end_point(net: str, resolution: str) -> None:
    extent = int(resolution)
    rows = table(NETS[net], (3, extent, extent), INFER)
    lines = [line for line in published(net) if line["resolution"] in (resolution, "None")]
    assert len(lines) == {"vgg_a": 26, "vgg_16": 26, "alexnet_v2": 14}[net]
    for line in lines:
        layer = line["end_point"].removeprefix(f"{net}/")
        wanted = Field(int(line["rf"]), int(line["eff_stride"]), -int(line["eff_padding"]))
        assert row(rows, layer).receptive_field == (wanted, wanted), line


class Bottleneck(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 1)
        self.conv2 = nn.Conv2d(3, 3, 3, stride=stride, padding=1)
        self.conv3 = nn.Conv2d(3, 3, 1)
        self.shortcut = nn.MaxPool2d(1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.conv3(self.conv2(self.conv1(x))))


def resnet_v1_50() -> nn.Module:
    """Return TF-slim's: the last unit of a block has the stride; pool1 pads on the right only."""
    units = [unit for count in (3, 4, 6) for unit in [1] * (count - 1) + [2]] + [1, 1, 1]
    stem = nn.Conv2d(3, 3, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return nn.Sequential(*stem, *(Bottleneck(stride) for stride in units))


def test_resnet_50_sees_483_pixels() -> None:
    # github.com/google-research/receptive_field, README: resnet_v1_50 483, stride 32, padding 239.
    rows = table(resnet_v1_50, (3, 224, 224), INFER)
    assert rows.rows[-1].name == "17.relu"
    assert rows.rows[-1].receptive_field == (Field(483, 32, -239),) * 2


def test_inception_v3_sees_1311_pixels() -> None:
    # The same table: inception_v3 1311, stride 32, padding 618; four branches of different sizes a block.
    models = pytest.importorskip("torchvision.models")
    rows = table(lambda: models.inception_v3(weights=None, init_weights=False), (3, 299, 299), INFER)
    assert row(rows, "Mixed_7c.cat#3").receptive_field == (Field(1311, 32, -618),) * 2


def fields(make: Callable[[], nn.Module], *, extent: int = 12, channels: int = 4) -> LayerTable:
    return table(make, (channels, extent, extent), INFER)


def last(make: Callable[[], nn.Module], *, extent: int = 12, channels: int = 4) -> tuple[Field, ...] | None:
    return fields(make, extent=extent, channels=channels).rows[-1].receptive_field


def test_axes_have_fields_of_their_own() -> None:
    assert last(lambda: nn.Conv2d(4, 4, (1, 7), stride=(1, 2), padding=(0, 3))) == (
        Field(1, 1, 0),
        Field(7, 2, -3),
    )


LAYERS: dict[str, tuple[Callable[[], nn.Module], Field | None]] = {
    "max pool": (lambda: nn.MaxPool2d(3, stride=2, padding=1), Field(3, 2, -1)),
    "dilated max pool": (lambda: nn.MaxPool2d(3, stride=1, dilation=2), Field(5, 1, 0)),
    "average pool": (lambda: nn.AvgPool2d(2), Field(2, 2, 0)),
    "power-average pool": (lambda: nn.LPPool2d(2, 3, stride=2), Field(3, 2, 0)),
    "adaptive pool that divides": (
        lambda: nn.AdaptiveAvgPool2d(4),
        Field(3, 3, 0),
    ),  # 12 / 4: kernel, stride 3
    "adaptive max pool": (lambda: nn.AdaptiveMaxPool2d(6), Field(2, 2, 0)),
    "adaptive pool that does nothing": (lambda: nn.AdaptiveAvgPool2d(12), Field(1, 1, 0)),
    "adaptive pool that repeats": (lambda: nn.AdaptiveAvgPool2d(24), Field(1, 0.5, 0)),
    "adaptive pool of uneven windows": (lambda: nn.AdaptiveAvgPool2d(5), None),  # 3 and 4 pixels
    "global pool": (lambda: nn.AdaptiveAvgPool2d(1), Field(12, 12, 0)),  # the whole input
    "transposed": (lambda: nn.ConvTranspose2d(4, 4, 2, stride=2), Field(1, 0.5, 0)),
    "overlapping transposed": (lambda: nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1), Field(2, 0.5, -1)),
    "dilated convolution": (lambda: nn.Conv2d(4, 4, 3, dilation=4, padding=4), Field(9, 1, -4)),
    "padding same": (lambda: nn.Conv2d(4, 4, 5, padding="same"), Field(5, 1, -2)),
    "nearest upsampling": (lambda: nn.Upsample(scale_factor=2), Field(1, 0.5, 0)),
    "bilinear upsampling": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), Field(2, 0.5, -1)),
    "aligned corners": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), None),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), Field(1, 0.5, 0)),
    "pixel unshuffle": (lambda: nn.PixelUnshuffle(2), Field(2, 2, 0)),
    "mirrored padding": (lambda: nn.ReflectionPad2d(1), Field(1, 1, -1)),
    "response norm": (lambda: nn.LocalResponseNorm(5), Field(1, 1, 0)),
    "group norm": (lambda: nn.GroupNorm(2, 4), Field(1, 1, 0)),
    "channel shuffle": (lambda: nn.ChannelShuffle(2), Field(1, 1, 0)),
    "softmax over channels": (nn.Softmax2d, Field(1, 1, 0)),
    "nothing that runs": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.Dropout()), Field(3, 1, 0)),
    "nothing that runs, first": (lambda: nn.Sequential(nn.Identity(), nn.Conv2d(4, 4, 3)), Field(3, 1, 0)),
}


@pytest.mark.parametrize(("make", "wanted"), LAYERS.values(), ids=LAYERS)
def test_single_layers(make: Callable[[], nn.Module], wanted: Field | None) -> None:
    assert last(make) == (wanted and (wanted, wanted))


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch says that it may copy
def test_of_an_uneven_padding_the_smaller_half_is_first() -> None:
    assert last(lambda: nn.Conv2d(4, 4, 4, padding="same")) == (Field(4, 1, -1),) * 2


def test_a_first_layer_that_runs_nothing_sees_its_pixel() -> None:
    rows = fields(lambda: nn.Sequential(nn.Identity(), nn.Conv2d(4, 4, 3)))
    assert rows.rows[0].receptive_field == (Field(1, 1, 0),) * 2


def test_padding_counts_the_last_axis_first() -> None:
    # Left 1, right 2, top 3, bottom 4.
    assert last(lambda: nn.ZeroPad2d((1, 2, 3, 4))) == (Field(1, 1, -3), Field(1, 1, -1))


class Functions(nn.Module):
    """A network that is one function of two convolutions, 3x3 and 5x5 with stride 2, of its input."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *, stride: int = 2) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(4, 4, 5, stride=stride, padding=2)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.function(self.narrow(x), self.wide(x))
        return joined


JOINS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Field | None]] = {
    "add": (lambda a, b: a + b, Field(5, 2, -2)),
    "concat": (lambda a, b: torch.cat([a, b], 1), Field(5, 2, -2)),
    "in place": (lambda a, b: torch.relu_(a).mul_(b), Field(5, 2, -2)),
    "one behind the other": (lambda a, b: torch.cat([a, b], 2), None),
    "squeeze and excitation": (lambda a, b: a * b.mean((2, 3), keepdim=True), Field(12, 12, 0)),
    "over channels": (lambda a, b: a[:, :2] + b.amax(1, keepdim=True), Field(5, 2, -2)),
    "turned over": (lambda a, b: a.flip(2), None),
    "row by row": (lambda a, b: a.cumsum(2), None),
}


@pytest.mark.parametrize(("function", "wanted"), JOINS.values(), ids=JOINS)
def test_functions(function: Callable[[Tensor, Tensor], Tensor], wanted: Field | None) -> None:
    assert last(lambda: Functions(function)) == (wanted and (wanted, wanted))


def test_a_crop_moves_and_thins_out_the_windows() -> None:
    # From the second row on, and every second column, of windows of 3 that lie 2 apart and begin at -1.
    cropped = last(lambda: Functions(lambda a, b: a[:, :, 1:, ::2]))
    assert cropped == (Field(3, 2, 1), Field(3, 4, -1))


def test_different_strides_have_no_common_field() -> None:
    assert last(lambda: Functions(lambda a, b: a + b[:, :, ::2, ::2], stride=1)) == (Field(5, 2, -2),) * 2
    assert last(lambda: Functions(lambda a, b: a + b[:, :, :6, :6], stride=1)) is None


def test_flatten_has_no_field_and_a_linear_layer_after_it_sees_everything() -> None:
    rows = fields(lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(400, 5), nn.ReLU()))
    assert [layer.receptive_field for layer in rows.rows] == [
        (Field(3, 1, 0),) * 2,
        None,
        (Field(12, 12, 0),) * 2,
        (Field(12, 12, 0),) * 2,
    ]


class PerPixelLinear(nn.Module):
    """ConvNeXt's way: channels last, a linear layer at each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(4, 4, 7, padding=3), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.linear(self.norm(self.conv(x).permute(0, 2, 3, 1)))
        return x + mixed.permute(0, 3, 1, 2)


def test_a_linear_layer_at_each_pixel_keeps_the_field() -> None:
    assert last(PerPixelLinear) == (Field(7, 1, -3),) * 2


def test_one_axis_and_three() -> None:
    sound = table(
        lambda: nn.Sequential(nn.Conv1d(2, 2, 5, stride=2), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(1)),
        (2, 64),
        INFER,
    )
    assert [layer.receptive_field for layer in sound.rows] == [
        (Field(5, 2, 0),),
        (Field(7, 4, 0),),
        (Field(64, 64, 0),),
    ]
    volume = table(
        lambda: nn.Sequential(nn.Conv3d(1, 1, (3, 1, 5)), nn.AvgPool3d((1, 2, 2))), (1, 8, 8, 8), INFER
    )
    assert volume.rows[1].receptive_field == (Field(3, 1, 0), Field(2, 2, 0), Field(6, 2, 0))
