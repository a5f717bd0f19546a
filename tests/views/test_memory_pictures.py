"""Pictures of what is held: whole in tests/golden, and safe to open; no cuDNN is asked."""

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from vggprof import api, views
from vggprof.devices import custom_device, find_device
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.report import MemoryReport, report
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.targets import Choice
from vggprof.trace import Setup
from vggprof.trace.traces import Traces
from vggprof.units import GIB
from vggprof.views.memory_plot import ROWS
from vggprof.views.table import WIDTH

SOFTWARE = Software((2, 15), (13, 0), Choice(None, None), CudnnSettings(), AllocatorConfig(torch=(2, 15)))
SVG = "{http://www.w3.org/2000/svg}"


def reported(arch: str, batch: int, card: Card, *, record: bool = True) -> MemoryReport:
    with Forecast(Traces(lambda _: api.trace_arch(arch, Setup(batch=batch))), SOFTWARE) as forecast:
        return report(forecast, batch, [card], search=False, record=record)


@pytest.fixture(scope="module")
def fitting() -> MemoryReport:
    return reported("vgg16", 32, Card(custom_device(8 * GIB)))


@pytest.fixture(scope="module")
def failing() -> MemoryReport:
    return reported("vgg16", 32, Card(custom_device(4 * GIB)))


@pytest.fixture(scope="module")
def small() -> MemoryReport:
    return reported("lenet5", 2, Card(find_device("H200")))


def test_whole_plots(
    fitting: MemoryReport,
    failing: MemoryReport,
    small: MemoryReport,
    golden: Callable[[str, str], None],
) -> None:
    golden("memory-plot.txt", views.memory_plot(fitting))
    golden("memory-plot-oom.txt", views.memory_plot(failing))
    golden("memory-plot-far.txt", views.memory_plot(small))


def test_a_plot_is_plain_ascii_of_a_fixed_width(fitting: MemoryReport) -> None:
    lines = views.memory_plot(fitting).splitlines()
    picture = [text for text in lines if text[11:12] == "|"]
    assert len(picture) == ROWS
    assert max(map(len, picture)) == WIDTH
    assert "".join(lines).isascii()


def test_the_cards_line_is_crossed_where_it_fails(failing: MemoryReport) -> None:
    rows = [text[12:] for text in views.memory_plot(failing).splitlines() if text[11:12] == "|"]
    (card,) = [at for at, row in enumerate(rows) if set(row) == {"-"}]
    assert any(row.strip() for row in rows[:card])
    assert "how it would go on without it" in views.memory_plot(failing)


def test_whole_svg(small: MemoryReport, golden: Callable[[str, str], None]) -> None:
    golden("memory.svg", views.memory_svg(small))


def test_an_svg_is_well_formed_and_whole_in_itself(fitting: MemoryReport) -> None:
    text = views.memory_svg(fitting)
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    allowed = {f"{SVG}{name}" for name in ("svg", "title", "desc", "style", "rect", "text", "line", "path")}
    assert {element.tag for element in root.iter()} == allowed
    assert "prefers-color-scheme:dark" in text
    bare = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not any(word in bare for word in ("http", "url(", "href", "@import", "<script"))
    words = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"step 0", "step 1", "step 2", "forward", "backward", "activations"} <= set(words)
    assert len([line for line in root.iter(f"{SVG}line") if line.get("class") == "card"]) == 1


def test_an_svg_draws_inside_its_frame(fitting: MemoryReport, failing: MemoryReport) -> None:
    for answer in (fitting, failing):
        root = ET.fromstring(views.memory_svg(answer))
        _, _, width, height = map(float, (root.get("viewBox") or "").split())
        for path in root.iter(f"{SVG}path"):
            steps = (path.get("d") or "").strip("MZ").replace("V", " V").replace("H", " H").split()
            assert all(0 <= float(step[1:]) <= width for step in steps if step[0] == "H")
            assert all(0 <= float(step[1:]) <= height for step in steps if step[0] == "V")


def test_names_are_escaped(small: MemoryReport) -> None:
    name = "./<script>&\"'\x1b[2J.yaml"
    hostile = replace(small, tensors=replace(small.tensors, arch=name))
    root = ET.fromstring(views.memory_svg(hostile))
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "./<script>&\"'\\x1b[2J.yaml: memory over the training"
    assert root.find(f".//{SVG}script") is None
    assert "\x1b" not in views.memory_plot(hostile)


def test_without_a_series_there_is_no_picture() -> None:
    plain = reported("lenet5", 2, Card(find_device("H200")), record=False)
    assert views.memory_plot(plain) == views.memory_svg(plain) == ""
