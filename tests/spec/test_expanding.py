"""Items become the layers they stand for: names, numbers, groups, branches, blocks and defaults."""

from collections.abc import Iterator

import pytest

from vggprof.errors import UsageError
from vggprof.spec import ArchSpec, Layer, ops
from vggprof.spec.reading import parse_spec


def spec(layers: str, head: str = "", **overrides: str) -> ArchSpec:
    return parse_spec(f"input: 3x32x32\n{head}\nlayers:\n{layers}", "net.yaml", overrides)


def walk(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """Yield all layers, those in branches before the join."""
    for layer in layers:
        if isinstance(layer.op, ops.Add | ops.Concat | ops.Multiply):
            for branch in layer.op.branches:
                yield from walk(branch.layers)
        yield layer


def names(found: ArchSpec) -> list[str]:
    return [layer.name for layer in walk(found.layers)]


def only(found: ArchSpec) -> ops.Op:
    (layer,) = found.layers
    return layer.op


def test_an_op_is_a_word_a_named_word_or_a_mapping() -> None:
    found = spec("  - relu\n  - act: relu\n  - {relu: {inplace: true}}\n  - last: {relu: , inplace: true}\n")
    assert [(layer.name, layer.op) for layer in found.layers] == [
        ("relu", ops.Relu()),
        ("act", ops.Relu()),
        ("relu_2", ops.Relu(inplace=True)),
        ("last", ops.Relu(inplace=True)),
    ]


def test_a_layer_knows_its_place() -> None:
    found = spec("  - conv1: {conv: 8, kernel: 1, then: relu}\n")
    assert [(layer.at.line, layer.at.column) for layer in found.layers] == [(4, 5), (4, 39)]


@pytest.mark.parametrize(
    ("item", "op"),
    [
        ("{conv: 8, kernel: 3}", ops.Conv(8, (3, 3))),
        (
            "{conv: 8, kernel: [3, 5], stride: [1, 2], padding: [1, 2], dilation: 2, groups: 4, bias: false}",
            ops.Conv(8, (3, 5), (1, 2), (1, 2), (2, 2), 4, bias=False),
        ),
        ("{conv: 8, kernel: 3, padding: same}", ops.Conv(8, (3, 3), padding="same")),
        ("{conv: 8, kernel: 3, groups: depthwise}", ops.Conv(8, (3, 3), groups="depthwise")),
        ("{conv: {channels: 8, kernel: 3}}", ops.Conv(8, (3, 3))),
        (
            "{conv_transpose: 8, kernel: 3, stride: 2, output_padding: 1}",
            ops.ConvTranspose(8, (3, 3), (2, 2), output_padding=(1, 1)),
        ),
        ("{linear: 8, bias: false}", ops.Linear(8, bias=False)),
        ("batch_norm", ops.BatchNorm()),
        ("{batch_norm: {eps: 1e-3, momentum: 0.01}}", ops.BatchNorm(eps=1e-3, momentum=0.01)),
        ("{lrn: 5, k: 2, alpha: 5e-4}", ops.Lrn(5, alpha=5e-4, k=2.0)),
        ("{max_pool: 3}", ops.MaxPool((3, 3), (3, 3))),  # a pool's stride is its kernel
        ("{max_pool: 3, stride: 2, ceil_mode: true}", ops.MaxPool((3, 3), (2, 2), ceil_mode=True)),
        ("{avg_pool: [2, 3]}", ops.AvgPool((2, 3), (2, 3))),
        ("{lp_pool: 2, norm: 3}", ops.LpPool((2, 2), (2, 2), norm=3.0)),
        ("{adaptive_avg_pool: [7, 6]}", ops.AdaptiveAvgPool((7, 6))),
        ("{adaptive_max_pool: 7}", ops.AdaptiveMaxPool((7, 7))),
        ("global_avg_pool", ops.AdaptiveAvgPool((1, 1))),
        ("dropout", ops.Dropout(0.5)),
        ("{dropout: 0.2}", ops.Dropout(0.2)),
        ("flatten", ops.Flatten()),
        ("{leaky_relu: 0.1}", ops.LeakyRelu(0.1)),
        ("elu", ops.Elu()),
        ("gelu", ops.Gelu()),
        ("silu", ops.Silu()),
        ("hardswish", ops.Hardswish()),
        ("hardsigmoid", ops.Hardsigmoid()),
        ("sigmoid", ops.Sigmoid()),
        ("tanh", ops.Tanh()),
        ("softmax", ops.Softmax()),
        ("identity", ops.Identity()),
        ("{relu6: {inplace: true}}", ops.Relu6(inplace=True)),
    ],
)
def test_every_op(item: str, op: ops.Op) -> None:
    assert only(spec(f"  - {item}\n")) == op


def test_followers_are_named_after_the_layer() -> None:
    found = spec(
        "  - conv1_1: {conv: 8, kernel: 1, then: [batch_norm, relu, lrn]}\n"
        "  - conv: {conv: 8, kernel: 1, then: [batch_norm, relu6]}\n"
        "  - c1: {conv: 8, kernel: 1, then: tanh}\n"
        "  - flatten\n"
        "  - fc6: {linear: 8, then: [relu, {dropout: 0.2}]}\n",
        "defaults: {lrn: {size: 5}}",
    )
    assert names(found) == [
        *("conv1_1", "bn1_1", "relu1_1", "lrn1_1"),
        *("conv", "bn", "relu"),
        *("c1", "c1_tanh", "flatten", "fc6", "relu6", "dropout6"),
    ]
    assert found.layers[-1].op == ops.Dropout(0.2)


def test_defaults_stand_in_for_what_a_layer_does_not_say() -> None:
    found = spec(
        "  - conv1: {conv: width}\n  - conv2: {conv: width, kernel: 1, padding: 0, then: []}\n  - tanh\n",
        "parameters: {width: 8}\n"
        "defaults: {conv: {kernel: 3, padding: 1, then: relu}, relu: {inplace: true}, tanh: {then: dropout}}",
    )
    assert [layer.op for layer in found.layers] == [
        ops.Conv(8, (3, 3), padding=(1, 1)),
        ops.Relu(inplace=True),
        ops.Conv(8, (1, 1)),
        ops.Tanh(),
        ops.Dropout(),
    ]


def test_defaults_name_the_parameters_of_the_spec_not_those_of_a_block() -> None:
    head = (
        "parameters: {width: 8}\ndefaults: {conv: {kernel: 1, groups: width}}\n"
        "blocks: {cell: {parameters: {width: }, layers: [{conv: width}]}}"
    )
    found = spec("  - {block: cell, width: 64}\n", head)
    assert only(found) == ops.Conv(64, (1, 1), groups=8)


def test_a_group_names_its_layers_and_numbers_those_without_a_name() -> None:
    found = spec("  - stage: [relu, {mine: tanh}, {conv: 8, kernel: 1, then: relu}, {inner: [gelu]}]\n")
    assert names(found) == ["stage.0", "stage.mine", "stage.1", "stage.1_relu", "stage.inner.0"]


BLOCKS = """\
blocks:
  cell:
    parameters: {out: , kernel: 1, hidden: 2*out}
    layers:
      - conv1: {conv: hidden, kernel: kernel}
      - conv2: {conv: out, kernel: 1}
  pair:
    layers:
      - a: {block: cell, out: 4}
      - {block: cell, out: 8, kernel: 3}
"""


def test_blocks_with_parameters() -> None:
    found = spec("  - {block: cell, out: 4}\n  - x: {block: cell, out: 4, kernel: 3, hidden: 5}\n", BLOCKS)
    assert [(layer.name, layer.op) for layer in found.layers] == [
        ("cell.conv1", ops.Conv(8, (1, 1))),
        ("cell.conv2", ops.Conv(4, (1, 1))),
        ("x.conv1", ops.Conv(5, (3, 3))),
        ("x.conv2", ops.Conv(4, (1, 1))),
    ]


def test_blocks_in_blocks_in_groups_repeated() -> None:
    found = spec(
        "  - stage: [{block: pair}, {block: cell, out: 1, repeat: 2}]\n  - b: {block: pair, repeat: 2}\n",
        BLOCKS,
    )
    cells = dict.fromkeys(name.rsplit(".", 1)[0] for name in names(found))
    assert list(cells) == [
        *("stage.0.a", "stage.0.cell", "stage.1", "stage.2"),
        *("b.0.a", "b.0.cell", "b.1.a", "b.1.cell"),
    ]


def test_a_join_with_a_name_has_its_branches_below_it() -> None:
    found = spec(
        "  - mix: {concat: {left: [relu, {conv: 8, kernel: 1}], right: {conv: 4, kernel: 1}, as_is: []}, "
        "then: relu}\n"
    )
    assert names(found) == ["mix.left.0", "mix.left.1", "mix.right", "mix.concat", "mix.relu"]
    join = found.layers[0].op
    assert isinstance(join, ops.Concat)
    assert [(branch.name, len(branch.layers)) for branch in join.branches] == [
        ("left", 2),
        ("right", 1),
        ("as_is", 0),
    ]


def test_a_join_without_a_name_has_its_branches_beside_it() -> None:
    found = spec(
        "  - cell:\n      - add:\n          main: [{conv1: {conv: 3, kernel: 1}}, {down: [batch_norm]}]\n"
        "          shortcut: []\n        inplace: true\n        then: relu\n"
    )
    assert names(found) == ["cell.conv1", "cell.down.0", "cell.add", "cell.relu"]
    join = found.layers[0].op
    assert isinstance(join, ops.Add)
    assert join.inplace


def test_a_block_as_a_branch_of_a_join_without_a_name_has_no_level_of_its_own() -> None:
    found = spec("  - add: {main: {block: cell, out: 3}, shortcut: []}\n", BLOCKS)
    assert names(found) == ["conv1", "conv2", "add"]


def test_a_gate() -> None:
    found = spec("  - se: {multiply: {main: [], gate: [global_avg_pool, {conv: 3, kernel: 1}, sigmoid]}}\n")
    assert names(found) == ["se.gate.0", "se.gate.1", "se.gate.2", "se.multiply"]


def test_a_layer_may_be_called_like_an_op() -> None:
    found = spec(
        "  - conv: {conv: 8, kernel: 1}\n  - relu: relu\n  - concat: {concat: {a: [], b: []}}\n  - "
        "dropout: {dropout: 0.2}\n"
    )
    assert names(found) == ["conv", "relu", "concat.concat", "dropout"]


def test_numbers_and_words_are_those_of_yaml_1_2() -> None:
    assert only(spec("  - {linear: 010}\n")) == ops.Linear(10)
    assert only(spec("  - {linear: '8'}\n")) == ops.Linear(8)


@pytest.mark.parametrize("written", ["1x28x30", "[1, 28, 30]"])
def test_the_input_is_channels_height_width(written: str) -> None:
    assert parse_spec(f"input: {written}\nlayers: [relu]", "net.yaml", {}).input == (1, 28, 30)


def test_the_name_of_a_spec_without_one_is_its_files() -> None:
    assert parse_spec("input: 1x2x3\nlayers: [relu]", "some/my_net.yaml", {}).name == "my_net"


HEAD = "parameters: {classes: 10, width: 8, hidden: 4*width, rate: 0.5}"
LAYERS = "  - flatten\n  - {linear: hidden, then: {dropout: rate}}\n  - {linear: classes}\n"


def test_parameters_can_be_overridden_and_those_reckoned_from_them_follow() -> None:
    found = spec(LAYERS, HEAD, width="16", input="1x8x8", rate="0.25")
    assert found.input == (1, 8, 8)
    assert found.parameters == (("classes", 10), ("width", 16), ("hidden", 64), ("rate", 0.25))
    assert [layer.op for layer in found.layers] == [
        ops.Flatten(),
        ops.Linear(64),
        ops.Dropout(0.25),
        ops.Linear(10),
    ]


def test_without_overrides_it_equals_itself_wherever_it_was_read() -> None:
    text = f"input: 3x32x32\n{HEAD}\nlayers:\n{LAYERS}"
    assert parse_spec(text, "a/net.yaml", {}) == parse_spec("\n" + text, "b/net.yaml", {})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"clases": "10"},
            "net has no parameter 'clases'; it has input, classes, width, hidden, rate; did you mean "
            "'classes'?",
        ),
        ({"classes": "ten"}, "classes=ten: a number up to 10000000 is wanted"),
        ({"classes": ""}, "classes=: a number up to 10000000 is wanted"),
        ({"classes": "true"}, "classes=true: a number up to 10000000 is wanted"),
        ({"classes": "1000000000000"}, "classes=1000000000000: a number up to 10000000 is wanted"),
        (
            {"input": "224"},
            "input=224: channels x height x width is wanted, as in 3x224x224, "
            "with at most 10000000 channels and 16384 pixels a side",
        ),
        (
            {"input": "0x224x224"},
            "input=0x224x224: channels x height x width is wanted, as in 3x224x224, "
            "with at most 10000000 channels and 16384 pixels a side",
        ),
    ],
)
def test_overrides_that_cannot_be(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec(LAYERS, HEAD, **overrides)
    assert str(caught.value) == message


def test_an_override_that_changes_nothing_is_refused() -> None:
    with pytest.raises(
        UsageError, match="net: no layer uses the parameter 'depth', so depth=3 changes nothing"
    ):
        spec("  - relu\n", "parameters: {depth: 2}", depth="3")


def test_an_override_that_makes_a_layer_impossible_is_told_at_the_layer() -> None:
    with pytest.raises(UsageError, match=r"net\.yaml:6:14: linear: features is 0 by 'classes'"):
        spec(LAYERS, HEAD, classes="0")
