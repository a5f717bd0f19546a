"""The charts of a report: what they draw, inside their frame."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof import api
from vggprof.compare import Profile, profile
from vggprof.devices import find_device
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.report.roofline import roof_of
from vggprof.trace import Setup
from vggprof.views.charts import field_svg, layer_bytes_svg, roofline_svg, work_svg
from vggprof.views.svg import Logarithmic

SVG = "{http://www.w3.org/2000/svg}"
SETTINGS = CudnnSettings()


@pytest.fixture(scope="module")
def profiles() -> tuple[Profile, ...]:
    return tuple(profile(api.trace_arch(arch, Setup(batch=8))) for arch in ("alexnet", "vgg11"))


def circles(text: str) -> list[tuple[float, float, str]]:
    """Return place and words of every dot."""
    return [
        (float(each.get("cx") or "nan"), float(each.get("cy") or "nan"), each.findtext(f"{SVG}title") or "")
        for each in ET.fromstring(text).iter(f"{SVG}circle")
    ]


def test_a_dot_a_layer_that_multiplies(profiles: tuple[Profile, ...]) -> None:
    names = [f"{p.table.arch} {row.name}:" for p in profiles for row in p.table.rows if row.macs]
    roof = roof_of(find_device("RTX 3060"), Setup(batch=8), SETTINGS)
    for text in (work_svg(profiles), roofline_svg(profiles, roof, SETTINGS)):
        dots = circles(text)
        assert len(dots) == len(names) == 8 + 11
        assert all(said.startswith(name) for (_, _, said), name in zip(dots, names, strict=True))
        assert all(90 <= x <= 890 and 66 <= y <= 386 for x, y, _ in dots)


def test_more_work_lies_higher_and_more_bytes_further_right(profiles: tuple[Profile, ...]) -> None:
    rows = [row for p in profiles for row in p.table.rows if row.macs]
    dots = circles(work_svg(profiles))
    by_work = sorted(zip(rows, dots, strict=True), key=lambda each: each[0].macs)
    heights = [y for _, (_, y, _) in by_work]
    assert heights == sorted(heights, reverse=True)
    by_bytes = sorted(
        zip(rows, dots, strict=True), key=lambda each: each[0].read_bytes + each[0].written_bytes
    )
    places = [x for _, (x, _, _) in by_bytes]
    assert places == sorted(places)


def test_bars_are_as_long_as_bytes_are_many(profiles: tuple[Profile, ...]) -> None:
    rows = [row for row in profiles[1].table.rows if row.output_bytes]
    bars = [
        float(each.get("width") or "nan")
        for each in ET.fromstring(layer_bytes_svg(profiles[1])).iter(f"{SVG}rect")
        if each.get("fill") == "#e69f00"
    ]
    most = max(row.output_bytes for row in rows)
    assert bars == pytest.approx([max(250 * row.output_bytes / most, 0.5) for row in rows], abs=0.051)


def test_fields_grow_along_a_line_for_each_network(profiles: tuple[Profile, ...]) -> None:
    lines = [each.get("d") or "" for each in ET.fromstring(field_svg(profiles)).iter(f"{SVG}path")]
    assert len(lines) == 2
    for line in lines:
        heights = [float(step.partition("H")[0]) for step in line.split("V")[1:]]
        assert len(heights) > 5
        assert heights == sorted(heights, reverse=True)


def test_dots_at_one_place_lie_within_each_other(profiles: tuple[Profile, ...]) -> None:
    """fc7 and fc8 of both networks do the same work on the same bytes."""
    text = work_svg(profiles)
    radii: dict[str, list[str]] = {}
    for each in ET.fromstring(text).iter(f"{SVG}circle"):
        said = each.findtext(f"{SVG}title") or ""
        radii.setdefault(said.partition(":")[0], []).append(each.get("r") or "")
    assert radii["alexnet fc7"] == ["6"]
    assert radii["vgg11 fc7"] == radii["vgg11 conv1_1"] == radii["alexnet conv1"] == ["4.5"]


def test_names_of_layers_meet_no_dot_and_no_other_name(profiles: tuple[Profile, ...]) -> None:
    text = work_svg(profiles)
    names = [each for each in ET.fromstring(text).iter(f"{SVG}text") if each.get("class") == "name"]
    assert {"fc6", "fc7", "conv1_1"} <= {each.text for each in names}
    boxes = []
    for each in names:
        x, y, wide = float(each.get("x") or 0), float(each.get("y") or 0) - 4, 7 * len(each.text or "")
        boxes.append((x - wide if each.get("text-anchor") == "end" else x, y, wide))
    for at, (x, y, wide) in enumerate(boxes):
        assert not [
            1
            for left, high, other in boxes[at + 1 :]
            if abs(high - y) < 12 and x < left + other and left < x + wide
        ]
        assert not [
            1 for left, high, _ in circles(text) if abs(high - y) < 10 and x - 4.5 < left < x + wide + 4.5
        ]


@given(st.lists(st.floats(1e-6, 1e18), min_size=1))
def test_decades_hold_all_values(values: list[float]) -> None:
    scale = Logarithmic.over(values, 10, 110)
    assert all(10 - 1e-6 <= scale(value) <= 110 + 1e-6 for value in values)
    assert scale.ticks[0] <= min(values) * (1 + 1e-9)
    assert scale.ticks[-1] >= max(values) * (1 - 1e-9)
    assert scale(scale.ticks[0]) == pytest.approx(10)
    assert scale(scale.ticks[-1]) == pytest.approx(110)
