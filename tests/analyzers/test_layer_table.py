"""The layer table of a trace made by hand, number by number, and of real ones."""

import pytest
import torch
from real_traces import INFER, TRAIN, row, spec_trace, table
from torch import Tensor, nn
from trace_builder import TraceBuilder, view

from vggprof.analyzers import Field, LayerTable, Unruled, layer_table
from vggprof.trace import Kind, Mode, Phase, Setup


def by_hand(setup: Setup | None = None) -> LayerTable:
    """Return the table of conv (3x3, 2 to 4 channels, 2x2x6x6), relu in place, max pool, flatten, fc."""
    trace = TraceBuilder(setup)
    weight, bias = trace.parameter("conv.weight", (4, 2, 3, 3)), trace.parameter("conv.bias", (4,))
    fc, tied = trace.parameter("fc.weight", (3, 36)), trace.parameter("unused.weight", (5, 5))
    trace.parameter("head.weight", (3, 36), tied_to=fc)
    trace.mark(Phase.MODEL)
    x = trace.tensor((2, 2, 6, 6), Kind.INPUT)
    trace.mark(Phase.INPUT)
    assert tied.storage != fc.storage

    conv = trace.layer("conv", "Conv2d", x.shape, (2, 4, 6, 6))
    (y,) = trace.run(
        "aten.convolution.default",
        [("input", x), ("weight", weight), ("bias", bias)],
        (2, 4, 6, 6),
        layer=conv,
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        transposed=False,
        output_padding=(0, 0),
        groups=1,
    )
    relu = trace.layer("relu", "ReLU", y.shape, y.shape)
    trace.run("aten.relu_.default", [("self", y)], y, layer=relu)
    pool = trace.layer("pool", "MaxPool2d", y.shape, (2, 4, 3, 3))
    (pooled,) = trace.run(
        "aten.max_pool2d_with_indices.default", [("self", y)], (2, 4, 3, 3), layer=pool, kernel_size=(2, 2)
    )
    flatten = trace.layer("flatten", "Flatten", pooled.shape, (2, 36))
    flat = view(pooled, (2, 36))
    trace.run("aten.view.default", [("self", pooled)], flat, layer=flatten, size=(2, 36))
    linear = trace.layer("fc", "Linear", (2, 36), (2, 3))
    turned = view(fc, (36, 3))
    trace.run("aten.t.default", [("self", fc)], turned, layer=linear)
    (scratch,) = trace.run("aten.mystery.default", [("self", flat)], (2, 36), layer=linear)
    trace.run("aten.mm.default", [("self", flat), ("mat2", turned)], (2, 3), layer=linear)
    trace.free(scratch)
    trace.mark(Phase.FORWARD)

    trace.phase = Phase.BACKWARD
    (gradient,) = trace.run("aten.ones_like.default", [("self", y)], y.shape, layer=conv, kind=Kind.TEMPORARY)
    trace.run(
        "aten.convolution_backward.default",
        [("grad_output", gradient), ("input", x), ("weight", weight)],
        weight.shape,
        layer=conv,
        kind=Kind.GRADIENT,
        transposed=False,
        output_mask=(False, True, True),
    )
    trace.mark(Phase.BACKWARD)
    return layer_table(trace.build())


def test_parameters_count_once_for_the_first_layer_that_reads_them() -> None:
    # conv: 4 x 2 x 9 + 4 = 76; fc: 3 x 36 = 108, which head shares; nobody reads the 25 of unused.
    rows = by_hand()
    assert {layer.name: layer.params for layer in rows.rows if layer.params} == {"conv": 76, "fc": 2 * 108}
    assert [parameter.name for parameter in rows.unexecuted] == ["unused.weight"]


def test_macs_by_hand() -> None:
    # conv: 2 samples x 36 pixels x 72 weights = 5,184; fc: 2 x 36 x 3 = 216.
    # Backward: the weight gradient only, as the input needs none.
    rows = by_hand()
    assert {layer.name: layer.macs for layer in rows.rows if layer.macs} == {"conv": 5_184, "fc": 216}
    assert {layer.name: layer.macs_backward for layer in rows.rows if layer.macs_backward} == {"conv": 5_184}


def test_bytes_by_hand() -> None:
    # fp32. conv gives 2 x 4 x 36 x 4 = 1,152; the pooling 288; fc 24. The rest gives memory that was there.
    rows = by_hand()
    assert [layer.output_bytes for layer in rows.rows] == [1_152, 0, 288, 0, 24]
    assert [layer.saved_bytes for layer in rows.rows] == [1_152, 0, 288, 0, 24]  # scratch has died by then
    # Read: conv its input 576 + weight 288 + bias 16; relu 1,152; pooling 1,152; fc the unknown operator 288,
    # then 288 + 432 of weight. Written: fc 288 of the unknown operator and 24.
    assert [layer.read_bytes for layer in rows.rows] == [880, 1_152, 1_152, 0, 1_008]
    assert [layer.written_bytes for layer in rows.rows] == [1_152, 1_152, 288, 0, 312]
    assert row(rows, "conv").arithmetic_intensity == 2 * 5_184 / (880 + 1_152)
    assert row(rows, "flatten").arithmetic_intensity is None


def test_fields_and_stages_by_hand() -> None:
    rows = by_hand()
    assert [layer.receptive_field for layer in rows.rows] == [
        (Field(3, 1, -1),) * 2,
        (Field(3, 1, -1),) * 2,
        (Field(4, 2, -1),) * 2,
        None,
        (Field(6, 6, 0),) * 2,
    ]
    assert [layer.stage for layer in rows.rows] == ["stage1"] * 4 + ["classifier"]


def test_totals_are_the_sums_and_unexecuted_parameters_stand_apart() -> None:
    totals = by_hand().totals
    assert (totals.params, totals.unexecuted_params) == (76 + 216 + 25, 25)
    assert (totals.macs, totals.macs_backward) == (5_400, 5_184)
    assert (totals.output_bytes, totals.saved_bytes) == (1_464, 1_464)
    assert (totals.read_bytes, totals.written_bytes) == (4_192, 2_904)
    assert totals.arithmetic_intensity == 2 * 5_400 / (4_192 + 2_904)


def test_what_has_no_rule_is_in_the_ledger() -> None:
    assert by_hand().ledger == (Unruled("aten.mystery.default", 1),)


def test_the_biggest_layers_are_named() -> None:
    biggest = by_hand().biggest
    assert [layer and layer.name for layer in (biggest.params, biggest.macs, biggest.saved_bytes)] == [
        "fc",
        "conv",
        "conv",
    ]


def test_inference_saves_nothing_and_has_no_biggest_of_it() -> None:
    rows = by_hand(Setup(batch=2, mode=Mode.INFER))
    assert rows.totals.saved_bytes == 0
    assert rows.biggest.saved_bytes is None


def test_a_trace_without_layers_is_an_empty_table() -> None:
    rows = layer_table(TraceBuilder().build())
    assert (rows.rows, rows.groups, rows.ledger) == ((), (), ())
    assert rows.totals.macs == 0


def test_the_frame_has_a_column_a_field() -> None:
    rows = by_hand()
    frame = rows.to_frame()
    assert list(frame.columns) == [*rows.rows[0].__dataclass_fields__, "arithmetic_intensity"]
    assert frame["macs"].sum() == rows.totals.macs
    assert frame["name"].tolist() == [layer.name for layer in rows.rows]


@pytest.mark.parametrize("name", ["vgg11", "googlenet", "mobilenet_v2"])
@pytest.mark.parametrize("setup", [TRAIN, INFER], ids=["train", "infer"])
def test_groups_partition_the_rows(name: str, setup: Setup) -> None:
    rows = layer_table(spec_trace(name, setup))
    assert sorted(layer.name for group in rows.groups for layer in group.rows) == sorted(
        r.name for r in rows.rows
    )
    assert sum(group.totals.macs for group in rows.groups) == rows.totals.macs > 0
    assert sum(group.totals.params for group in rows.groups) == rows.totals.params > 0
    assert rows.ledger == ()


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "mobilenet_v2"])
def test_costs_are_linear_in_the_batch(name: str) -> None:
    # Bytes that do not grow: weights, biases and statistics, which batch size 1 and 2 let us take off.
    one, two, three = (layer_table(spec_trace(name, Setup(batch=batch))).rows for batch in (1, 2, 3))
    for a, b, c in zip(one, two, three, strict=True):
        assert (2 * a.macs, 2 * a.macs_backward) == (b.macs, b.macs_backward)
        for of in ("output_bytes", "saved_bytes", "read_bytes", "written_bytes"):
            assert getattr(c, of) - getattr(b, of) == getattr(b, of) - getattr(a, of), (a.name, of)
        assert a.receptive_field == b.receptive_field


def test_traffic_of_batch_norm_in_training() -> None:
    # It reads 2 x 4 x 9 numbers, weight, bias and running statistics (4 x 4); it writes 72 numbers, what it
    # saves (2 x 4) and the running statistics (2 x 4). The count of batches is 8 bytes, read and written.
    rows = table(lambda: nn.Sequential(nn.BatchNorm2d(4)), (4, 3, 3))
    (norm,) = rows.rows
    assert norm.read_bytes == 4 * (72 + 16) + 8
    assert norm.written_bytes == 4 * (72 + 8 + 8) + 8


class Lookup(nn.Module):
    """Three of 1,000 rows of 8 numbers, and an expanded number added to them."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.one = nn.Parameter(torch.empty(1000, 8)), nn.Parameter(torch.empty(1))

    def forward(self, x: Tensor) -> Tensor:
        picked = self.rows[torch.zeros(3, dtype=torch.int64, device=x.device)]
        return picked + self.one.expand(3, 8)


def test_traffic_is_of_what_is_touched() -> None:
    # The lookup reads 3 x 8 numbers and three indices of 8 bytes; the expanded number is 4 bytes, however
    # often it is shown.
    rows = table(Lookup, (3,), INFER)
    assert row(rows, "getitem").read_bytes == 4 * 24 + 3 * 8
    assert row(rows, "add").read_bytes == 4 * 24 + 4
    assert row(rows, "expand").read_bytes == row(rows, "expand").written_bytes == 0
