"""Stacks of convolutions against single kernels: by hand, for any channels, beside the paper's columns."""

import csv
import json
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof import api, views
from vggprof.cli.run import run
from vggprof.errors import ArchError, UsageError
from vggprof.forms import Form
from vggprof.spec import ArchSpec, find_shipped, ops, read_spec, shipped_names
from vggprof.spec.ops import Layer
from vggprof.spec.place import Place
from vggprof.spec.stacks import stacks, with_single_kernels
from vggprof.trace import Setup
from vggprof.workloads.published import CONFIGS, config_of, published_errors

AT = Place(1, 1)


def chain(*convolutions: ops.Conv) -> tuple[Layer, ...]:
    return tuple(Layer(f"conv{at}", op, AT) for at, op in enumerate(convolutions))


def net(layers: tuple[Layer, ...]) -> ArchSpec:
    return ArchSpec("net", "", "", (3, 64, 64), (), layers, "net.yaml")


def same(channels: int, kernel: int = 3) -> ops.Conv:
    return ops.Conv(channels, (kernel, kernel), padding=(kernel // 2, kernel // 2))


def given_pixels(pixels: int, op: ops.Conv) -> int:
    """What torch's documentation says that a convolution gives along an axis."""
    assert isinstance(op.padding, tuple)
    return (pixels + 2 * op.padding[0] - op.dilation[0] * (op.kernel[0] - 1) - 1) // op.stride[0] + 1


def test_the_paper_s_numbers() -> None:
    # Section 2.3: 3 (3^2 C^2) = 27 C^2 weights against 7^2 C^2 = 49 C^2; two 3x3 see 5x5, three 7x7.
    row = api.stack("vgg16").rows[-1]
    assert row.convolutions == ("conv5_1", "conv5_2", "conv5_3")
    assert (row.kernel, row.weights_per_square) == ((7, 7), (27, 49))
    assert row.stack.params == 27 * 512**2 + 3 * 512
    assert row.single.params == 49 * 512**2 + 512
    assert (row.stack.macs, row.single.macs) == (27 * 512**2 * 14**2, 49 * 512**2 * 14**2)
    assert (row.stack.nonlinearities, row.single.nonlinearities) == (3, 1)
    assert row.pays


def test_where_it_does_not_pay() -> None:
    # 3 -> 64 -> 64: 9*3*64 + 9*64*64 + 128 = 38,720 against 25*3*64 + 64 = 4,864.
    row = api.stack("vgg16").rows[0]
    assert row.channels == (3, 64, 64)
    assert (row.stack.params, row.single.params) == (38_720, 4_864)
    assert row.weights_per_square is None
    assert not row.pays
    # Twice the maps in memory: ReLU works in place, so that each convolution makes 64 x 224 x 224 floats.
    assert (row.stack.output_bytes, row.single.output_bytes) == (2 * 64 * 224**2 * 4, 64 * 224**2 * 4)


@given(
    st.lists(
        st.builds(
            lambda kernel, stride, padding, dilation: ops.Conv(
                4, (kernel, kernel), (stride, stride), (padding, padding), (dilation, dilation)
            ),
            *(st.integers(low, high) for low, high in ((1, 7), (1, 3), (0, 3), (1, 2))),
        ),
        min_size=2,
        max_size=4,
    ),
    st.integers(64, 400),
)
def test_a_single_kernel_gives_the_size_of_its_stack(stacked: list[ops.Conv], pixels: int) -> None:
    (stack,) = stacks(net(chain(*stacked)))
    assert isinstance(stack.single.op, ops.Conv)
    through = pixels
    for op in stacked:
        through = given_pixels(through, op)
    if through >= 1:
        assert given_pixels(pixels, stack.single.op) == through


@given(st.integers(1, 4096), st.integers(2, 5))
def test_equal_channels_always_pay(channels: int, depth: int) -> None:
    (stack,) = stacks(net(chain(*[same(channels)] * depth)))
    assert isinstance(stack.single.op, ops.Conv)
    assert stack.single.op.kernel == (2 * depth + 1,) * 2
    assert depth * 9 < (2 * depth + 1) ** 2


def test_what_ends_a_stack() -> None:
    pool = Layer("pool", ops.MaxPool((2, 2), (2, 2)), AT)
    grouped = Layer("grouped", ops.Conv(8, (3, 3), groups=2), AT)
    lopsided = Layer("even", ops.Conv(8, (2, 2), padding="same"), AT)
    for between in (pool, grouped, lopsided):
        assert stacks(net((*chain(same(8)), between, *chain(same(8))))) == ()
    relu = Layer("relu", ops.Relu(), AT)
    (stack,) = stacks(net((*chain(same(8)), relu, Layer("last", same(9), AT), pool)))
    assert [layer.name for layer in stack.kept] == ["last"]


@pytest.mark.parametrize("name", shipped_names())
def test_no_stack_is_left(name: str) -> None:
    spec = read_spec(find_shipped(name))
    assert stacks(net(with_single_kernels(spec.layers))) == tuple(
        stack for stack in stacks(spec) if stack.layers[0] not in spec.layers
    )


def test_stacks_in_branches_are_found_and_merged() -> None:
    report = api.stack("googlenet")
    (row,) = (row for row in report.rows if row.convolutions[0] == "inception3a.branch3.0.conv")
    # Szegedy et al. 2015, Table 1, inception (3a), 16 and 32 channels; torchvision's 3x3, as here.
    assert (row.channels, row.kernels, row.kernel) == ((192, 16, 32), ((1, 1), (3, 3)), (3, 3))
    # 192*16 + 9*16*32 = 7,680 weights, 2 (16 + 32) of batch norm, against 9*192*32 = 55,296 and 64.
    assert (row.stack.params, row.single.params) == (7_680 + 96, 55_296 + 64)


def test_whole_network_is_the_layer_table_s() -> None:
    report, table = api.stack("vgg11", Setup(batch=2)), api.layers("vgg11", Setup(batch=2))
    assert report.stacked.cost.params == table.totals.params
    assert report.stacked.cost.macs == table.totals.macs
    assert report.stacked.cost.saved_bytes == table.totals.saved_bytes
    # Eight convolutions and two hidden linear layers.
    assert report.stacked.cost.nonlinearities == 10


def test_the_paper_s_columns_and_errors() -> None:
    one_by_one, lrn = api.stack("vgg16-1x1"), api.stack("vgg-a")
    assert [each.config for each in one_by_one.family] == ["B", "C", "D"]
    assert [each.config for each in lrn.family] == ["A", "A-LRN"]
    without, with_lrn = lrn.family
    assert with_lrn.cost.params == without.cost.params
    assert with_lrn.cost.macs == without.cost.macs
    assert with_lrn.moved_bytes > without.moved_bytes
    # Table 3, S = Q = 256: 29.6 and 10.4 without, 29.7 and 10.5 with.
    assert [(e.top1_percent, e.top5_percent) for each in lrn.family for e in each.errors] == [
        (29.6, 10.4),
        (29.7, 10.5),
    ]
    c, d = one_by_one.family[1:]
    # C has 1x1 where D has 3x3 in three layers: 8 (256^2 + 2 512^2) weights less.
    assert d.cost.params - c.cost.params == 8 * (256**2 + 2 * 512**2)


def test_errors_belong_to_the_paper_s_networks_alone() -> None:
    assert config_of("vgg-d") == "D"
    assert config_of("vgg16@classes=10") is None
    assert config_of("vgg16 with no dropout") is None
    assert config_of("alexnet") is None
    assert api.stack("vgg16@classes=10").family == ()
    assert {error.config for error in published_errors()} == set(CONFIGS.values())
    assert all(0 < error.top5_percent < error.top1_percent < 100 for error in published_errors())


def test_factories_are_refused() -> None:
    with pytest.raises(ArchError, match="stacks are found in specs"):
        api.stack("torchvision.models:vgg16")
    with pytest.raises(UsageError, match="ask without this edit"):
        api.stack("vgg16 with dense")


def test_forms_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    report = api.stack("vgg16")
    told = json.loads(views.stack(report, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.stack(report, Form.CSV))))
    assert [int(row["params"]) for row in rows if row["what"] == "single"] == [
        each["single"]["params"] for each in told["stacks"]
    ]
    for form in (Form.TABLE, Form.MARKDOWN):
        said = views.stack(report, form)
        assert "27 C^2 weights against 49 C^2, with C = 512" in said.replace("\\", "")
        assert "38,720" in said
    assert run(["stack", "lenet5"]) == 0
    assert "No two convolutions follow each other" in capsys.readouterr().out
