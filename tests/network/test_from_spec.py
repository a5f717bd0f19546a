"""A spec becomes a graph of its layers, or is refused at the layer that does not fit."""

import pytest
import torch
from shapes import executed, shipped
from torch import fx, nn

from vggprof.errors import SpecError
from vggprof.network import build
from vggprof.network.joins import Add, Concat, Multiply
from vggprof.spec import shipped_names
from vggprof.spec.reading import parse_spec


def network(layers: str, input_shape: str = "4x8x8") -> fx.GraphModule:
    return build(parse_spec(f"input: {input_shape}\nlayers:\n{layers}", "net.yaml", {}))


def test_nodes_and_modules_have_the_names_of_the_layers() -> None:
    graph = shipped("vgg11").graph
    calls = [node for node in graph.nodes if node.op == "call_module"]
    assert [node.name for node in calls] == [node.target for node in calls]
    assert [node.target for node in calls][:5] == ["conv1_1", "relu1_1", "pool1", "conv2_1", "relu2_1"]
    assert {node.op for node in graph.nodes} == {"placeholder", "call_module", "output"}


def test_groups_are_levels_of_modules() -> None:
    assert isinstance(shipped("resnet18").get_submodule("layer2.0.conv1"), nn.Conv2d)


@pytest.mark.parametrize("name", shipped_names())
def test_everything_is_on_meta_and_in_training_mode(name: str) -> None:
    built = shipped(name)
    assert {tensor.device.type for tensor in (*built.parameters(), *built.buffers())} == {"meta"}
    assert all(module.training for module in built.modules())


@pytest.mark.parametrize(
    ("item", "module"),
    [
        (
            "{conv: 8, kernel: [3, 5], stride: [1, 2], padding: [1, 2], dilation: [1, 2], groups: 2, "
            "bias: false}",
            nn.Conv2d(4, 8, (3, 5), (1, 2), (1, 2), (1, 2), groups=2, bias=False),
        ),
        ("{conv: 8, kernel: 3, padding: same}", nn.Conv2d(4, 8, 3, padding="same")),
        ("{conv: 8, kernel: 3, groups: depthwise}", nn.Conv2d(4, 8, 3, groups=4)),
        (
            "{conv_transpose: 8, kernel: 3, stride: 2, padding: 1, output_padding: 1, groups: 2, bias: "
            "false}",
            nn.ConvTranspose2d(4, 8, 3, 2, 1, 1, groups=2, bias=False),
        ),
        (
            "{batch_norm: {eps: 1e-3, momentum: 0.2, affine: false}}",
            nn.BatchNorm2d(4, 1e-3, 0.2, affine=False),
        ),
        ("{batch_norm: {track_running_stats: false}}", nn.BatchNorm2d(4, track_running_stats=False)),
        ("{lrn: 5, k: 2, alpha: 5e-4, beta: 0.5}", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.5, k=2.0)),
        (
            "{max_pool: 3, stride: 2, padding: 1, dilation: 2, ceil_mode: true}",
            nn.MaxPool2d((3, 3), (2, 2), (1, 1), (2, 2), ceil_mode=True),
        ),
        (
            "{avg_pool: 3, padding: 1, ceil_mode: true, count_include_pad: false}",
            nn.AvgPool2d((3, 3), (3, 3), (1, 1), ceil_mode=True, count_include_pad=False),
        ),
        ("{lp_pool: 2, norm: 3, ceil_mode: true}", nn.LPPool2d(3.0, (2, 2), (2, 2), ceil_mode=True)),
        ("{adaptive_avg_pool: [3, 2]}", nn.AdaptiveAvgPool2d((3, 2))),
        ("{adaptive_max_pool: 3}", nn.AdaptiveMaxPool2d((3, 3))),
        ("global_avg_pool", nn.AdaptiveAvgPool2d((1, 1))),
        ("{dropout: 0.2, inplace: true}", nn.Dropout(0.2, inplace=True)),
        ("flatten", nn.Flatten()),
        ("{relu: {inplace: true}}", nn.ReLU(inplace=True)),
        ("relu6", nn.ReLU6()),
        ("{leaky_relu: 0.2}", nn.LeakyReLU(0.2)),
        ("{elu: 0.5}", nn.ELU(0.5)),
        ("gelu", nn.GELU()),
        ("silu", nn.SiLU()),
        ("hardswish", nn.Hardswish()),
        ("hardsigmoid", nn.Hardsigmoid()),
        ("sigmoid", nn.Sigmoid()),
        ("tanh", nn.Tanh()),
        ("softmax", nn.Softmax(dim=1)),
        ("identity", nn.Identity()),
    ],
)
def test_every_op_is_torchs_module(item: str, module: nn.Module) -> None:
    built = network(f"  - layer: {item}\n")
    ours = built.get_submodule("layer")
    assert repr(ours) == repr(module)
    assert [value.shape for value in ours.state_dict().values()] == [
        value.shape for value in module.state_dict().values()
    ]
    image = torch.randn(2, 4, 8, 8)
    assert executed(built, (4, 8, 8))[0].shape == tuple(module(image).shape[1:])


def test_after_a_flatten_batch_norm_is_over_features() -> None:
    built = network("  - flatten\n  - batch_norm\n  - {linear: 3, bias: false}\n")
    assert isinstance(built.get_submodule("batch_norm"), nn.BatchNorm1d)
    assert repr(built.get_submodule("linear")) == repr(nn.Linear(256, 3, bias=False))


BRANCHES = "a: [{conv: 4, kernel: 1}], b: []"


def test_joins() -> None:
    built = network(
        f"  - s: {{add: {{{BRANCHES}}}}}\n  - c: {{concat: {{{BRANCHES}}}}}\n"
        "  - m: {multiply: {x: [], gate: [global_avg_pool, sigmoid]}}\n"
    )
    assert [
        layer.shape for layer in executed(built, (4, 8, 8)) if layer.kind in {"Add", "Concat", "Multiply"}
    ] == [
        (4, 8, 8),
        (8, 8, 8),
        (8, 8, 8),
    ]


def test_joins_reckon_in_the_order_written() -> None:
    one, two = torch.full((1, 2, 1, 1), 3.0), torch.full((1, 2, 1, 1), 5.0)
    assert torch.equal(Add()(one, two, two), torch.full((1, 2, 1, 1), 13.0))
    assert torch.equal(Multiply()(one, two), torch.full((1, 2, 1, 1), 15.0))
    assert torch.equal(Concat()(one, two)[0, :, 0, 0], torch.tensor([3.0, 3.0, 5.0, 5.0]))
    assert torch.equal(one, torch.full((1, 2, 1, 1), 3.0))
    assert Add(inplace=True)(one, two) is one
    assert torch.equal(one, torch.full((1, 2, 1, 1), 8.0))


WAY_OUT = "enlarge `input`, or pool less before it"
MISFITS = {
    "  - fc: {linear: 10}\n": "3:5: fc: gets 4x8x8, but linear wants a row of features; put `flatten` "
    "before it",
    "  - flatten\n  - c: {conv: 8, kernel: 1}\n": "4:5: c: gets 256 features, but wants channels x "
    "height x width",
    "  - flatten\n  - p: global_avg_pool\n": "4:5: p: gets 256 features, but wants channels x height x width",
    "  - c: {conv: 8, kernel: 11}\n": f"3:5: c: gets 4x8x8, but wants 11x11 pixels at least; {WAY_OUT}",
    "  - c: {conv: 8, kernel: [3, 5], dilation: [1, 3], padding: [0, 1]}\n": (
        # 3 * (5 - 1) + 1 = 13 pixels are reached in a row, of which the padding gives 2
        f"3:5: c: gets 4x8x8, but wants 3x11 pixels at least; {WAY_OUT}"
    ),
    "".join(f"  - pool{i}: {{max_pool: 2}}\n" for i in range(1, 5)): (
        f"6:5: pool4: gets 4x1x1, but wants 2x2 pixels at least; {WAY_OUT}"
    ),
    "  - {avg_pool: 9}\n": f"3:6: avg_pool: gets 4x8x8, but wants 9x9 pixels at least; {WAY_OUT}",
    "  - {lp_pool: 9}\n": f"3:6: lp_pool: gets 4x8x8, but wants 9x9 pixels at least; {WAY_OUT}",
    "  - c: {conv: 9, kernel: 1, groups: 3}\n": "3:5: c: gets 4 channels, but 3 groups want a multiple of 3",
    "  - c: {conv: 6, kernel: 1, groups: depthwise}\n": (
        "3:5: c: gets 4 channels, and depthwise wants a multiple of them out, not 6"
    ),
    "  - r: {add: {main: [{conv: 8, kernel: 1}], shortcut: []}}\n": (
        "3:5: r.add: its branches give main 8x8x8, shortcut 4x8x8; add wants them equal"
    ),
    "  - r: {concat: {main: [{max_pool: 2}], shortcut: []}}\n": (
        "3:5: r.concat: its branches give main 4x4x4, shortcut 4x8x8; concat wants them equal but for "
        "the channels"
    ),
    "  - r: {multiply: {main: [], gate: [global_avg_pool, {conv: 3, kernel: 1}]}}\n": (
        "3:5: r.multiply: its branches give main 4x8x8, gate 3x1x1; multiply wants each size equal, or 1"
    ),
    "  - r: {add: {main: [flatten], shortcut: []}}\n": (
        "3:5: r.add: its branches give main 256 features, shortcut 4x8x8; add wants them equal"
    ),
    "  - type: relu\n": "3:5: type: torch modules have 'type' for themselves; choose another name",
    "  - forward: [relu]\n": "3:15: forward.0: torch modules have 'forward' for themselves; choose "
    "another name",
}


@pytest.mark.parametrize(
    ("layers", "problem"), MISFITS.items(), ids=[text.split(": ")[1] for text in MISFITS.values()]
)
def test_what_does_not_fit(layers: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        network(layers)
    assert str(caught.value) == f"net.yaml:{problem}"


@pytest.mark.parametrize(
    "layers",
    [
        "  - c: {conv_transpose: 4, kernel: 1, padding: 9}\n",
        "  - c: {conv: 10000000, kernel: 4096, padding: 4096}\n  - d: {conv: 10000000, kernel: 4096, "
        "padding: 4096}\n",
    ],
)
def test_what_torch_refuses_is_told_in_its_words_at_the_layer(layers: str) -> None:
    with pytest.raises(SpecError, match=r"^net\.yaml:[34]:5: [cd]: gets [0-9x]+, and torch says: [^\n]+$"):
        network(layers)


def test_a_network_too_deep_for_its_input_is_told_where_it_ends() -> None:
    with pytest.raises(SpecError, match=r"pool5: gets 512x1x1, but wants 2x2 pixels at least"):
        shipped("vgg11-d2l", input="1x16x16")


def test_ceil_mode_takes_what_the_floor_would_not() -> None:
    built = network("  - {max_pool: 3, stride: 2, ceil_mode: true}\n", "4x2x2")
    assert executed(built, (4, 2, 2))[0].shape == (4, 1, 1)


def test_deep_networks_are_built_in_one_go() -> None:
    built = network("  - {block: b, repeat: 2000}\nblocks: {b: {layers: [relu]}}\n")
    assert len(built.graph.nodes) == 2002
