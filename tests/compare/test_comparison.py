"""Networks side by side."""

import pytest
from hand_profiles import layer, profile_of, table

from vggprof.compare import Profile, Ratios, ScaleCell, compare
from vggprof.errors import UsageError
from vggprof.trace import Parameter

# AlexNet's 55, 27, 13 against VGG's 224, 112, 56, 28, 14.
ALEX = table(
    "alex",
    [
        layer("a1", "stage1", extent=55, params=10, macs=100, nbytes=40),
        layer("a2", "stage2", extent=27, params=20, macs=200),
        layer("a3", "stage3", extent=13, params=30, macs=300),
        layer("fc", "classifier", params=40, macs=40),
    ],
    [55, 27, 13],
)
VGG = table(
    "vgg",
    [
        layer("v1", "stage1", extent=224, macs=1_000, nbytes=1_000),
        layer("v2", "stage2", extent=112, macs=1_000),
        layer("v3", "stage3", extent=56, params=50, macs=1_000),
        layer("v4", "stage4", extent=28, macs=1_000),
        layer("v5", "stage5", extent=14, macs=1_000),
        layer("fc", "classifier", params=100, macs=80),
    ],
    [224, 112, 56, 28, 14],
    (Parameter("head.weight", (5, 10), "float32", 0, trainable=True, buffer=False),),
)
SIDE_BY_SIDE = compare([profile_of(ALEX, 1_024), profile_of(VGG, 1_536)])


def test_totals_stand_side_by_side() -> None:
    alex, vgg = SIDE_BY_SIDE.archs
    assert (alex.name, alex.params, alex.macs, alex.peak_allocated_bytes) == ("alex", 100, 640, 1_024)
    assert (vgg.name, vgg.params, vgg.macs, vgg.peak_allocated_bytes) == ("vgg", 200, 5_080, 1_536)
    assert (vgg.largest_batch, vgg.step_ms) == (None, None)


def test_ratios_are_to_the_first() -> None:
    # 200 / 100 with the head that is registered and idle; 5,080 / 640; 1,000 / 40; 1,536 / 1,024;
    # FLOPs a byte: 2 x 5,080 / 1,000 over 2 x 640 / 40.
    first, second = SIDE_BY_SIDE.ratios
    assert first == Ratios("alex", 1, 1, 1, 1, 1, 1, None, None, 1, None, None)
    assert second == Ratios("vgg", 2, 7.9375, 7.9375, 25, 25, 1.5, None, None, 0.3175, None, None)


def test_a_ratio_to_nothing_is_unknown() -> None:
    idle = table("idle", [layer("x", "stage1", extent=224)], [224])
    ratios = compare([profile_of(idle), profile_of(ALEX)]).ratios
    assert (ratios[1].macs, ratios[1].peak_allocated_bytes) == (None, 1)


def test_stages_line_up_by_how_far_the_input_was_halved() -> None:
    lines = SIDE_BY_SIDE.lines
    assert [line.halvings for line in lines] == [0, 1, 2, 3, 4, None]
    assert [[cell and cell.stages for cell in line.cells] for line in lines] == [
        [None, ("stage1",)],
        [None, ("stage2",)],
        [("stage1",), ("stage3",)],  # 224 / 55 = 4.07
        [("stage2",), ("stage4",)],  # 224 / 27 = 8.3
        [("stage3",), ("stage5",)],  # 224 / 13 = 17.2
        [("classifier",), ("classifier",)],
    ]
    assert lines[2].cells[0] == ScaleCell(
        ("stage1",), layers=1, params=10, macs=100, macs_backward=200, output_bytes=40, saved_bytes=40
    )


def test_stages_of_one_scale_are_one_cell() -> None:
    rows = [layer("x", "stage1", extent=112, macs=5), layer("y", "stage2", extent=110, macs=7)]
    near = table("near", rows, [112, 110])
    lines = compare([profile_of(near), profile_of(ALEX)]).lines
    assert lines[0].cells == (ScaleCell(("stage1", "stage2"), 2, 0, 12, 24, 0, 0), None)


@pytest.mark.parametrize("profiles", [[], [profile_of(ALEX)]])
def test_one_network_is_no_comparison(profiles: list[Profile]) -> None:
    with pytest.raises(UsageError, match="needs two networks or more"):
        compare(profiles)


def test_lines_partition_what_the_networks_execute() -> None:
    for place, layers in enumerate((ALEX, VGG)):
        cells = [line.cells[place] for line in SIDE_BY_SIDE.lines]
        assert sum(cell.macs for cell in cells if cell) == layers.totals.macs
        assert (
            sum(cell.params for cell in cells if cell)
            == layers.totals.params - layers.totals.unexecuted_params
        )
