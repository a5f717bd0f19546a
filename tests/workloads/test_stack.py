"""Stacks of convolutions against single kernels: by hand, for any channels, beside the paper's columns."""

import csv
import json
from dataclasses import fields
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof import api, views
from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.errors import ArchError, UsageError
from vggprof.forms import Form
from vggprof.spec import ArchSpec, find_shipped, ops, read_spec, shipped_names
from vggprof.spec.arch import ShippedArch, parse_arch
from vggprof.spec.editing import apply_edits
from vggprof.spec.ops import Layer
from vggprof.spec.place import Place
from vggprof.spec.stacks import stacks, with_single_kernels
from vggprof.target import Target
from vggprof.trace import Mode, Setup
from vggprof.workloads.published import CONFIGS, config_of, published_errors
from vggprof.workloads.stack import Cost

AT = Place(1, 1)
CARD = Target(gpu="RTX 3060")


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, and no cuDNN to ask."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())


def chain(*convolutions: ops.Conv) -> tuple[Layer, ...]:
    return tuple(Layer(f"conv{at}", op, AT) for at, op in enumerate(convolutions))


def net(layers: tuple[Layer, ...]) -> ArchSpec:
    return ArchSpec("net", "", "", (3, 64, 64), (), layers, "net.yaml")


def convolutions(arch: str) -> list[ops.Conv]:
    named = parse_arch(arch)
    assert isinstance(named, ShippedArch)
    layers = apply_edits(named.edits, read_spec(named.file, dict(named.parameters))).layers
    return [layer.op for layer in layers if isinstance(layer.op, ops.Conv)]


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
    map_bytes, image_bytes = 64 * 224**2 * 4, 3 * 224**2 * 4
    assert (row.stack.output_bytes, row.single.output_bytes) == (2 * map_bytes, map_bytes)
    assert (row.stack.saved_bytes, row.single.saved_bytes) == (2 * map_bytes, map_bytes)
    # A convolution reads its input and its 4-byte parameters and writes a map, a ReLU reads and writes one.
    assert row.stack.moved_bytes == image_bytes + 7 * map_bytes + 4 * 38_720
    assert row.single.moved_bytes == image_bytes + 3 * map_bytes + 4 * 4_864
    # Nothing asks for the gradient of the images: conv1_1 does its work once more, conv1_2 twice.
    first, second = 9 * 3 * 64 * 224**2, 9 * 64 * 64 * 224**2
    assert (row.stack.macs, row.stack.macs_backward) == (first + second, first + 2 * second)
    assert row.single.macs == row.single.macs_backward == 25 * 3 * 64 * 224**2


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
    assert report.stacked.cost.macs_backward == table.totals.macs_backward
    assert report.stacked.cost.output_bytes == table.totals.output_bytes
    assert report.stacked.cost.saved_bytes == table.totals.saved_bytes
    assert report.stacked.cost.moved_bytes == table.totals.read_bytes + table.totals.written_bytes
    tensors = api.memory("vgg11", Setup(batch=2), CARD).tensors
    assert report.stacked.peak_bytes == tensors.peak.allocated_bytes
    # Eight convolutions and two hidden linear layers.
    assert report.stacked.cost.nonlinearities == 10


def test_times_are_those_of_the_latency_prediction() -> None:
    setup = Setup(batch=32)
    report = api.stack("vgg16", setup, CARD)
    assert report.single is not None
    row, kept = report.rows[-1], ("conv5_3", "relu5_3")
    layers = ("conv5_1", "relu5_1", "conv5_2", "relu5_2", *kept)
    for arch, cost, names in (
        ("vgg16", row.stack, layers),
        ("vgg16 with single kernels", row.single, kept),
    ):
        found = api.latency(arch, setup, CARD).single
        assert found is not None
        times = [layer for layer in found.layers if layer.name in names]
        assert cost.forward_ms == pytest.approx(sum(layer.forward_ms for layer in times))
        assert cost.kernels_ms == pytest.approx(sum(layer.total_ms for layer in times))
    for each in (report.stacked, report.single, *report.family):
        found = api.latency(each.arch, setup, CARD).single
        assert found is not None
        assert each.step_ms == found.step
        assert each.cost.forward_ms == pytest.approx(sum(layer.forward_ms for layer in found.layers))
    assert report.device == "GeForce RTX 3060 12GB"
    assert report.no_times is None
    assert "Prices are fitted" in report.assumptions[0]


def test_inference_has_no_backward_pass() -> None:
    cost = api.stack("vgg11", Setup(mode=Mode.INFER), CARD).stacked.cost
    assert cost.backward_ms is None
    assert cost.kernels_ms == cost.forward_ms
    assert cost.forward_ms is not None
    assert cost.macs_backward == 0


def test_without_a_gpu_there_are_no_times_and_it_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    report = api.stack("vgg11")
    costs = [row.stack for row in report.rows] + [row.single for row in report.rows]
    costs += [each.cost for each in (report.stacked, *report.family)]
    assert {(cost.forward_ms, cost.backward_ms, cost.kernels_ms) for cost in costs} == {(None, None, None)}
    assert {each.step_ms for each in report.family} == {None}
    assert {each.step_ratio for each in report.comparisons} == {None}
    told = json.loads(views.stack(report, Form.JSON))
    assert told["device"] is None
    assert told["no_times"] == "no GPU was named and none is here; --gpu NAME predicts times for one"
    assert told["network"]["step_ms"] is None
    assert run(["stack", "vgg11"]) == 0
    said = capsys.readouterr().out
    assert f"No times: {told['no_times']}." in said
    assert "ms a step" not in said
    assert run(["stack", "vgg11", "--gpu", "no such card"]) == 2


def test_the_paper_s_columns() -> None:
    one_by_one, lrn = api.stack("vgg16-1x1", target=CARD), api.stack("vgg-a", target=CARD)
    assert [each.config for each in one_by_one.family] == ["B", "C", "D", "E"]
    assert [each.config for each in lrn.family] == ["A", "A-LRN"]
    without, with_lrn = lrn.family
    assert with_lrn.cost.params == without.cost.params
    assert with_lrn.cost.macs == without.cost.macs
    assert with_lrn.cost.moved_bytes > without.cost.moved_bytes
    c, d = one_by_one.family[1:3]
    # C has 1x1 where D has 3x3 in three layers: 8 (256^2 + 2 512^2) weights less.
    assert d.cost.params - c.cost.params == 8 * (256**2 + 2 * 512**2)
    # At 56^2, 28^2 and 14^2 pixels.
    assert d.cost.macs - c.cost.macs == 8 * (256**2 * 56**2 + 512**2 * (28**2 + 14**2))
    assert [(each.change, each.network.config, each.base.config) for each in one_by_one.comparisons] == [
        ("1x1 for 3x3", "C", "D"),
        ("1x1 added", "C", "B"),
        ("3x3 added", "D", "B"),
        ("3x3 added", "E", "D"),
    ]
    (added,) = lrn.comparisons
    assert (added.change, added.network, added.base) == ("LRN added", with_lrn, without)
    assert with_lrn.step_ms is not None
    assert without.step_ms is not None
    assert added.step_ratio == with_lrn.step_ms.likely / without.step_ms.likely > 1


def test_by_how_much_the_published_errors_differ() -> None:
    # Table 3, S = Q = 256: A 29.6 10.4, A-LRN 29.7 10.5, B 28.7 9.9, C 28.1 9.4, D 27.0 8.8, E 27.3 9.0.
    reports = api.stack("vgg16"), api.stack("vgg11")
    assert [each.points for report in reports for each in report.comparisons] == [
        (1.1, 0.6),
        (-0.6, -0.5),
        (-1.7, -1.1),
        (0.3, 0.2),
        (0.1, 0.1),
    ]


def test_what_was_published_of_stacks_against_single_kernels() -> None:
    # Section 4.1: "The top-1 error of the shallow net was measured to be 7% higher than that of B (on a
    # center crop)"; it is B with single kernels.
    found = api.stack("vgg13").difference
    assert found is not None
    assert (found.config, found.top1_percent_higher, found.method) == ("B", 7.0, "centre crop")
    assert api.stack("lenet5").difference is None
    kernels = [op.kernel for op in convolutions("vgg13 with single kernels")]
    assert kernels == [(5, 5)] * 5


# Simonyan & Zisserman 2015, Tables 3 to 5 in their order: top-1 and top-5 errors on the validation set.
SINGLE_SCALE = (
    *((29.6, 10.4), (29.7, 10.5), (28.7, 9.9), (28.1, 9.4), (28.1, 9.3), (27.3, 8.8)),
    *((27.0, 8.8), (26.8, 8.7), (25.6, 8.1), (27.3, 9.0), (26.9, 8.7), (25.5, 8.0)),
)
SEVERAL_SCALES = (
    *((28.2, 9.6), (27.7, 9.2), (27.8, 9.2), (26.3, 8.2), (26.6, 8.6), (26.5, 8.6)),
    *((24.8, 7.5), (26.9, 8.7), (26.7, 8.6), (24.8, 7.5)),
)
WAYS = ((24.8, 7.5), (24.6, 7.5), (24.4, 7.2), (24.8, 7.5), (24.6, 7.4), (24.4, 7.1))


def test_published_errors_are_those_of_the_paper() -> None:
    for table, wanted in ((3, SINGLE_SCALE), (4, SEVERAL_SCALES), (5, WAYS)):
        found = [each for each in published_errors() if each.table == table]
        assert [(each.top1_percent, each.top5_percent) for each in found] == list(wanted)


def test_errors_belong_to_the_paper_s_networks_alone() -> None:
    assert config_of("vgg-d") == "D"
    assert config_of("vgg16@classes=10") is None
    assert config_of("vgg16 with no dropout") is None
    assert config_of("alexnet") is None
    assert api.stack("vgg16@classes=10").family == ()
    assert {error.config for error in published_errors()} == set(CONFIGS.values())


def test_factories_are_refused() -> None:
    with pytest.raises(ArchError, match="stacks are found in specs"):
        api.stack("torchvision.models:vgg16")
    with pytest.raises(UsageError, match="ask without this edit"):
        api.stack("vgg16 with dense")


def test_forms_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    report = api.stack("vgg16", Setup(batch=32), CARD)
    told = json.loads(views.stack(report, Form.JSON))
    rows = list(csv.DictReader(StringIO(views.stack(report, Form.CSV))))
    costs = [field.name for field in fields(Cost)]
    for what in ("stack", "single"):
        shown = [[float(row[name]) for name in costs] for row in rows if row["what"] == what]
        assert shown == [[each[what][name] for name in costs] for each in told["stacks"]]
    networks = [row for row in rows if row["what"] == "network"]
    wanted = [told["network"], told["single"], *told["family"]]
    assert [(row["name"], int(row["peak_bytes"]), float(row["step_ms"])) for row in networks] == [
        (each["arch"], each["peak_bytes"], each["step_ms"]["likely"]) for each in wanted
    ]
    assert [float(row["step_low_ms"]) for row in networks] == [each["step_ms"]["low"] for each in wanted]
    for form in (Form.TABLE, Form.MARKDOWN):
        said = views.stack(report, form)
        assert "27 C^2 weights against 49 C^2, with C = 512" in said.replace("\\", "")
        assert "38,720" in said
        assert "predicted for GeForce RTX 3060 12GB" in said
    assert run(["stack", "lenet5"]) == 0
    assert "No two convolutions follow each other" in capsys.readouterr().out


def test_tables_set_each_number_beside_that_of_the_single_kernel() -> None:
    report = api.stack("vgg16", Setup(batch=32), CARD)
    row, said = report.rows[-1], views.stack(report, Form.TABLE)
    ours, theirs = row.stack, row.single
    lines = [line.split() for line in said.splitlines() if line.startswith("conv5_1 + conv5_2 + conv5_3 ")]
    _, work, times = (line[5:] for line in lines)
    assert work == [
        *("44.39", "G", "80.56", "G", "88.79", "G", "161.13", "G"),
        *("36.75", "MiB", "12.25", "MiB", "36.75", "MiB", "12.25", "MiB"),
        *("174.01", "MiB", "98.00", "MiB", "3", "1"),
    ]
    assert ours.kernels_ms is not None
    assert theirs.kernels_ms is not None
    assert times == [
        *(f"{ours.forward_ms:.2f}", f"{theirs.forward_ms:.2f}"),
        *(f"{ours.backward_ms:.2f}", f"{theirs.backward_ms:.2f}"),
        *(f"{ours.kernels_ms:.2f}", f"{theirs.kernels_ms:.2f}"),
        *(f"{ours.kernels_ms / theirs.kernels_ms:.2f}", "x"),
    ]
    # C against D: 376.67 of 495.05 G MACs; C has 1x1 where D has 3x3, and errs more.
    (compared,) = (line.split() for line in said.splitlines() if line.startswith("1x1 for 3x3"))
    ratio = report.comparisons[0].step_ratio
    assert compared[3:] == [
        *("vgg16-1x1", "vgg16", "0.97", "x", "0.76", "x", "1.00", "x", "1.00", "x", "0.99", "x"),
        *(f"{ratio:.2f}", "x", "+1.1", "+0.6"),
    ]
