"""Shipped specs are the networks that were published: parameters and shapes, from tables."""

import csv
from pathlib import Path

import pytest
from shapes import Executed, count, executed, shipped

PUBLISHED = Path(__file__).parents[1] / "data" / "published"
LETTERS = ["A", "A-LRN", "B", "C", "D", "E"]


def table(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


VGG_PARAMS = table("vgg_paper_table2_params.csv")
VGG_LAYERS = table("vgg_paper_table1_configs.csv")
D2L = table("d2l_shapes.csv")
TORCHVISION = {row["model"]: row for row in table("torchvision_meta.csv")}
CLASSIC = {(row["net"], row["item"]): row["value"] for row in table("classic_nets_published.csv")}


def letter(config: str) -> str:
    return f"vgg-{config.lower()}"


def aliased(config: str) -> str:
    names = {"A": "vgg11", "A-LRN": "vgg11-lrn", "B": "vgg13", "C": "vgg16-1x1", "D": "vgg16", "E": "vgg19"}
    return names[config]


@pytest.mark.parametrize("row", VGG_PARAMS, ids=LETTERS)
def test_vgg_paper_table_2(row: dict[str, str]) -> None:
    params = count(shipped(letter(row["config"])))
    assert params == int(row["params_exact_derived"])
    assert round(params / 1e6) == int(row["params_millions_paper"])
    weights = [layer for layer in executed(shipped(letter(row["config"])), (3, 224, 224)) if layer.params]
    assert len(weights) == int(row["weight_layers"])


@pytest.mark.parametrize("config", LETTERS)
def test_vgg_paper_table_1(config: str) -> None:
    """Each layer has the paper's name, output and parameters; the soft-max belongs to the loss."""
    rows = [row for row in VGG_LAYERS if row["config"] == config and row["type"] not in {"input", "softmax"}]
    layers = {layer.name: layer for layer in executed(shipped(letter(config)), (3, 224, 224))}
    ours = [
        name
        for name, layer in layers.items()
        if layer.kind not in {"ReLU", "Dropout", "AdaptiveAvgPool2d", "Flatten"}
    ]
    assert ours == [row["name"] for row in rows]
    for row in rows:
        layer = layers[row["name"]]
        height_width = () if row["type"].startswith("fc") else (int(row["out_h"]), int(row["out_w"]))
        assert (layer.shape, layer.params) == (
            (int(row["out_ch"]), *height_width),
            int(row["params_derived"]),
        )


def d2l_rows() -> list[tuple[str, str, list[dict[str, str]]]]:
    """Return (net, source, rows) for each notebook; a net was run in two of them."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in D2L:
        groups.setdefault((row["net"].split("(")[0], row["source"]), []).append(row)
    return [(net, source, rows) for (net, source), rows in groups.items()]


# d2l's GoogLeNet differs inside its blocks (no batch norm); what comes out of each stage is the same.
OURS = {
    "lenet": "lenet5",
    "alexnet": "alexnet-d2l",
    "vgg11": "vgg11-d2l",
    "nin": "nin",
    "googlenet": "googlenet",
    "resnet": "resnet18",
}


def in_order(wanted: list[tuple[str, tuple[int, ...]]], layers: list[Executed]) -> bool:
    """Whether *layers* give the (kind, shape)s of *wanted* one after the other; a Sequential by shape."""
    following = iter(layers)
    return all(
        any(shape == layer.shape and kind in {"Sequential", layer.kind} for layer in following)
        for kind, shape in wanted
    )


@pytest.mark.parametrize(
    ("net", "rows"),
    [(net, rows) for net, _, rows in d2l_rows()],
    ids=[f"{net}-{i}" for i, (net, _, _) in enumerate(d2l_rows())],
)
def test_dive_into_deep_learning(net: str, rows: list[dict[str, str]]) -> None:
    _, *input_shape = (int(size) for size in rows[0]["input_shape"].split("x"))
    size = "x".join(map(str, input_shape))
    network = shipped(OURS[net], classes="10", input=size)
    wanted = [(row["layer"], tuple(int(size) for size in row["output_shape"].split("x")[1:])) for row in rows]
    layers = executed(network, tuple(input_shape))
    if all(kind != "Sequential" for kind, _ in wanted):
        assert [(layer.kind, layer.shape) for layer in layers] == wanted
    assert in_order(wanted, layers)


def test_d2l_has_all_six_nets_twice() -> None:
    assert sorted({net for net, _, _ in d2l_rows()}) == sorted(OURS)


def test_the_notebook_of_vgg11_for_one_channel() -> None:
    """Keras' summary begins 640, 73856, 295168, 590080; the rest are Table 1's, the last for ten classes.

    640 = (3 * 3 * 1 + 1) * 64, and 40970 = (4096 + 1) * 10.
    """
    layers = [layer.params for layer in executed(shipped("vgg11-d2l"), (1, 224, 224)) if layer.params]
    paper = [
        int(row["params_derived"])
        for row in VGG_LAYERS
        if row["config"] == "A" and row["type"] in {"conv+relu", "fc+relu", "fc"}
    ]
    assert layers[:4] == [640, 73_856, 295_168, 590_080]
    assert layers == [640, *paper[1:-1], 40_970]


def test_alexnet_2012_has_the_papers_neurons() -> None:
    """Sizes of conv2 to fc8; the paper's 253,440 of conv1 is known to be wrong (55 * 55 * 96 = 290,400)."""
    network = shipped("alexnet-2012")
    layers = {layer.name: layer for layer in executed(network, (3, 227, 227))}
    for name in ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"):
        neurons = 1
        for size in layers[name].shape:
            neurons *= size
        assert neurons == int(CLASSIC["AlexNet 2012", f"neurons {name}"].replace(",", ""))
    assert layers["conv1"].shape == (96, 55, 55)
    assert (
        count(network) == 60_965_224
    )  # by layer: 34,944 + 307,456 + 885,120 + 663,936 + 442,624 + fc 58,631,144


def test_lenet_with_dense_c3() -> None:
    """156 + 2,416 + 48,120 + 10,164 + 850; the paper's own c3, c5 and f6 are 1,516, 48,120 and 10,164."""
    layers = {layer.name: layer for layer in executed(shipped("lenet5"), (1, 28, 28))}
    assert [name for name, layer in layers.items() if layer.params] == ["c1", "c3", "c5", "f6", "output"]
    assert [layer.params for layer in layers.values() if layer.params] == [156, 2_416, 48_120, 10_164, 850]
    assert count(shipped("lenet5")) == int(CLASSIC["LeNet-5 (modern dense C3)", "params"].replace(",", ""))


def test_nin_for_imagenet() -> None:
    """The published snapshot has 29 MB of 4-byte weights.

    By layer: 34,944 + 2 * 9,312, 614,656 + 2 * 65,792, 885,120 + 2 * 147,840, 3,539,968, 1,049,600, 1,025,000
    """
    params = count(shipped("nin-imagenet"))
    assert params == 7_595_176
    assert f"{4 * params / 2**20:.0f} MB" == CLASSIC["NiN ImageNet (Caffe)", "snapshot size"]


@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "googlenet", "mobilenet_v2", "resnet18", "resnet50"),
        *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    ],
)
def test_parameters_that_torchvision_publishes(name: str) -> None:
    assert count(shipped(name)) == int(TORCHVISION[name]["num_params"])
