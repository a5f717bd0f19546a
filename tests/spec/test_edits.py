"""What-if edits: how they are written, what they do to a spec, and what is said of those that are none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.errors import ArchError, UsageError
from vggprof.spec import ArchSpec, find_shipped, ops, read_spec, shipped_names
from vggprof.spec.arch import ShippedArch, SpecFileArch, content_key, edited, parse_arch
from vggprof.spec.editing import apply_edits, conv_stages
from vggprof.spec.edits import Edit, Input, Kernels, Option, Width, Without, parse_edits
from vggprof.spec.kinds import MarginOrSame


def spec(name: str) -> ArchSpec:
    return read_spec(find_shipped(name))


def made(name: str, edits: str) -> ArchSpec:
    return apply_edits(parse_edits(edits), spec(name))


def convolutions(net: ArchSpec) -> dict[str, ops.Conv]:
    return {layer.name: layer.op for layer in net.layers if isinstance(layer.op, ops.Conv)}


def names(net: ArchSpec) -> list[str]:
    return [layer.name for layer in net.layers]


def test_edits_are_values() -> None:
    assert parse_edits("stage1  stride 4; input 112;no LRN ; 1x1 for 3x3; width 0.5") == (
        Edit("stage1 stride 4", Option("stage1", "stride", 4)),
        Edit("input 112", Input(112)),
        Edit("no LRN", Without("lrn")),
        Edit("1x1 for 3x3", Kernels(3, 1)),
        Edit("width 0.5", Width(0.5)),
    )


@pytest.mark.parametrize("edit", ["stage1 stride 4", "stem stride 4", "conv1_1 stride 4", "conv1_* stride 4"])
def test_the_stride_of_the_stem(edit: str) -> None:
    before, after = convolutions(spec("vgg11")), convolutions(made("vgg11", edit))
    assert after["conv1_1"].stride == (4, 4)
    assert {name: op for name, op in after.items() if name != "conv1_1"} == {
        name: op for name, op in before.items() if name != "conv1_1"
    }


def test_of_a_stage_the_first_has_the_stride_and_all_the_channels() -> None:
    strided, wide = (convolutions(made("vgg16", f"stage3 {edit}")) for edit in ("stride 2", "channels 7"))
    assert [strided[f"conv3_{n}"].stride for n in (1, 2, 3)] == [(2, 2), (1, 1), (1, 1)]
    assert [wide[f"conv3_{n}"].channels for n in (1, 2, 3)] == [7, 7, 7]


def test_another_kernel_keeps_the_sizes() -> None:
    # 11 taps and padding 2 are 7 taps and padding 0 in what is lost at the edges: 224 - 7 = 217.
    (smaller,) = [
        op for name, op in convolutions(made("alexnet", "conv1 kernel 7")).items() if name == "conv1"
    ]
    assert (smaller.kernel, smaller.padding) == ((7, 7), (0, 0))
    for op in convolutions(made("vgg11", "1x1 for 3x3")).values():
        assert (op.kernel, op.padding) == ((1, 1), (0, 0))
    for op in convolutions(made("vgg11", "conv* kernel 5")).values():
        assert (op.kernel, op.padding) == ((5, 5), (2, 2))


@pytest.mark.parametrize(
    ("padding", "dilation", "side", "kept"),
    [
        ("same", (1, 1), 4, "same"),  # whatever the kernel
        ((2, 2), (2, 2), 5, (4, 4)),  # 2 x 2 taps more, half of them on either side
        ((2, 2), (2, 2), 2, (1, 1)),  # an even kernel, but an even number of pixels less
        ((0, 0), (1, 1), 5, (1, 1)),
    ],
)
def test_padding_follows_the_kernel(
    padding: MarginOrSame, dilation: tuple[int, int], side: int, kept: MarginOrSame
) -> None:
    net = spec("vgg11")
    first = replace(net.layers[0], op=ops.Conv(8, (3, 3), padding=padding, dilation=dilation))
    changed = apply_edits(
        parse_edits(f"conv1_1 kernel {side}"), replace(net, layers=(first, *net.layers[1:]))
    )
    assert convolutions(changed)["conv1_1"] == ops.Conv(8, (side, side), padding=kept, dilation=dilation)


def test_padding_is_never_negative() -> None:
    # 11 taps and padding 2 lose 6 pixels: 7 taps do without padding, 5 would have to be cut into.
    with pytest.raises(UsageError, match="no padding keeps the sizes where a kernel was 11x11"):
        made("alexnet", "conv1 kernel 5")


def test_channels_stay_within_what_a_spec_may_have() -> None:
    wide = convolutions(made("vgg11", "conv1_1 channels 9000000; width 2"))
    assert (wide["conv1_1"].channels, wide["conv2_1"].channels) == (10_000_000, 256)


def test_width_and_input() -> None:
    half = made("vgg11", "width 0.5; input 112")
    assert [op.channels for op in convolutions(half).values()] == [32, 64, 128, 128, 256, 256, 256, 256]
    assert half.input == (3, 112, 112)
    assert made("lenet5", "input 3x40x50").input == (3, 40, 50)
    assert min(op.channels for op in convolutions(made("lenet5", "width 0.01")).values()) == 1


def test_no_classifier_leaves_average_pooling_and_one_linear_layer() -> None:
    bare = made("vgg11", "no classifier")
    assert names(bare)[-4:] == ["pool5", "avgpool", "flatten", "fc8"]
    assert bare.layers[-3].op == ops.AdaptiveAvgPool((1, 1))


def test_a_single_kernel_gives_what_the_last_of_its_stack_gives() -> None:
    net = made("vgg11", "conv3_1 channels 100")
    (last,) = [layer for layer in net.layers if layer.name == "conv3_2"]
    assert isinstance(last.op, ops.Conv)
    bare = replace(last, op=replace(last.op, bias=False))
    layers = tuple(bare if layer is last else layer for layer in net.layers)
    merged = convolutions(apply_edits(parse_edits("single kernels"), replace(net, layers=layers)))
    assert "conv3_1" not in merged
    # Two 3x3 see 5x5.
    assert merged["conv3_2"] == ops.Conv(256, (5, 5), padding=(2, 2), bias=False)


def test_layers_left_out_and_put_in() -> None:
    assert [layer.op for layer in made("vgg11-lrn", "no lrn").layers] == [
        layer.op for layer in spec("vgg11").layers
    ]
    ours, theirs = made("vgg11", "add batch_norm"), spec("vgg11_bn")
    assert [type(layer.op) for layer in ours.layers] == [type(layer.op) for layer in theirs.layers]
    assert names(ours)[:2] == ["conv1_1", "conv1_1_bn"]
    with pytest.raises(UsageError, match="changes nothing in vgg11_bn"):
        made("vgg11_bn", "add bn")


def test_edits_reach_into_branches() -> None:
    bare = made("resnet18", "no batch_norm; stage3 stride 1")
    assert conv_stages(bare)["layer2.0.conv1"] == 2
    with pytest.raises(UsageError, match="changes nothing"):
        apply_edits(parse_edits("no bn"), bare)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("", "edit '': it is empty or too long; edits are 'stage1 stride 4'"),
        ("no lrn;", "it is empty"),
        ("x" * 2000, "too long"),
        ("faster", "edit 'faster': there is no such edit; edits are"),
        ("inptu 112 3 4", "there is no such edit; did you mean 'input'?"),
        ("stage1 strid 4", "'strid' is none of stride, kernel, channels; did you mean 'stride'?"),
        ("stage1 stride four", "'four' is no whole number from 1 to 4,096"),
        ("stage1 stride 0", "'0' is no whole number"),
        ("stage1 stride -1", "'-1' is no whole number"),
        ("stage1 channels 99999999999", "is no whole number from 1 to 10,000,000"),
        ("no pool", "'no' takes classifier, lrn, dropout, batch_norm"),
        ("no lnr", "did you mean 'lrn'?"),
        ("add relu", "'add' takes batch_norm"),
        ("width nan", "a factor above 0 and up to 100 is wanted"),
        ("width -1", "a factor above 0"),
        ("input 0", "is no whole number"),
        ("input 3x5", "an input is written like 3x112x112"),
        ("3 for 1x1", "kernels are written like 1x1 for 3x3"),
        ("3x5 for 1x1", "kernels are written like 1x1 for 3x3"),
        ("conv9 stride 2", "vgg11 has no convolution 'conv9'; it has stem, stage1"),
        ("stage7 stride 2", "did you mean 'stage5'?"),
        ("conv1_1 kernel 2", "no padding keeps the sizes where a kernel was 3x3"),
        ("conv1_1 stride 1", "edit 'conv1_1 stride 1': it changes nothing in vgg11"),
        ("no lrn", "it changes nothing in vgg11"),
    ],
)
def test_what_is_no_edit_is_told_in_one_line(edit: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        made("vgg11", edit)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_hidden_layers_has_no_classifier_to_leave_out() -> None:
    with pytest.raises(UsageError, match="resnet18 has no hidden linear layers"):
        made("resnet18", "no classifier")


@given(st.text(max_size=60))
def test_any_text_is_an_edit_or_is_refused(text: str) -> None:
    try:
        edits = parse_edits(text)
    except UsageError:
        return
    assert parse_edits("; ".join(edit.text for edit in edits)) == edits


@given(st.floats(0.1, 4), st.sampled_from(shipped_names()))
def test_a_factor_scales_every_convolution(factor: float, name: str) -> None:
    before = convolutions(spec(name))
    try:
        after = convolutions(made(name, f"width {factor}"))
    except UsageError:  # so near to 1 that it changes nothing
        after = before
    assert {layer: op.channels for layer, op in after.items()} == {
        layer: max(1, round(op.channels * factor)) for layer, op in before.items()
    }


def test_an_arch_can_be_edited_wherever_one_is_named() -> None:
    arch = parse_arch("vgg11@classes=10 with stage1 stride 4; no dropout")
    assert arch == ShippedArch("vgg11", (("classes", "10"),), parse_edits("stage1 stride 4; no dropout"))
    assert str(arch) == "vgg11@classes=10 with stage1 stride 4; no dropout"
    assert parse_arch("./my net.yaml with no lrn") == SpecFileArch("./my net.yaml", (), parse_edits("no lrn"))
    assert parse_arch("./net with bn.yaml@a=1") == SpecFileArch("./net with bn.yaml", (("a", "1"),))
    assert str(edited(parse_arch("vgg11 with no dropout"), "input 112")) == "vgg11 with no dropout; input 112"


def test_a_factory_is_code_and_cannot_be_edited() -> None:
    with pytest.raises(ArchError, match=r"torchvision\.models:vgg11 is a factory, which is code"):
        parse_arch("torchvision.models:vgg11 with no dropout")


def test_edits_decide_the_network_and_so_the_key() -> None:
    keys = [
        content_key(parse_arch(text))
        for text in ("vgg11", "vgg11 with no dropout", "vgg11 with input 112", "vgg11  with  no  dropout")
    ]
    assert None not in keys
    assert len(set(keys)) == 3
