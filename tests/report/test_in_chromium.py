"""A page of the gallery in a real browser: the command line's figures, by keyboard, without a network."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from chromium import NAMES, Chromium, NoAnswerError, find_chromium
from reports_made import GALLERY, pinned, predicted

from vggprof.memory.verdict import Estimate
from vggprof.trace import Optimizer, Setup
from vggprof.units import format_bytes
from vggprof.views.verdict import say_failing

PAGE = (GALLERY / "alexnet-vgg11" / "report.html").as_uri()
LOGGED = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
# Tables and pictures that are cut off and cannot be scrolled.
HIDDEN = """[...document.querySelectorAll('main table, main svg, main pre')]
    .filter(each => { const box = each.closest('.wide, figure, pre');
        return box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== 'auto' })
    .map(each => each.outerHTML.slice(0, 80))"""
# Words of a picture that lie on each other by more than two pixels, or outside of it.
COLLISIONS = """[...document.querySelectorAll('svg')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll('text')]
        .map(each => [each.textContent, each.getBoundingClientRect()]);
    const outside = words.filter(([, b]) => b.left < frame.left || b.right > frame.right + 1
        || b.top < frame.top || b.bottom > frame.bottom);
    const meeting = words.filter(([, a], at) => words.slice(at + 1).some(([, b]) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5));
    return [...outside, ...meeting].map(([said]) => said) })"""
STATE = "[batch.value, gpu.selectedIndex, optimizer.value, document.activeElement.id, location.hash]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium is installed here (looked for {', '.join(NAMES)})")
    try:
        browser = Chromium(path)
    except NoAnswerError as error:
        pytest.skip(f"{path} does not start here: {error}")
    with browser:
        yield browser
        assert not browser.said(*LOGGED)
        asked = [each["request"]["url"] for each in browser.said("Network.requestWillBeSent")]
        assert asked
        assert all(url.startswith((GALLERY.as_uri(), "data:")) for url in asked)


def say_range(size: Estimate) -> str:
    low, high = format_bytes(size.low), format_bytes(size.high)
    assert size.likely is not None, "the gallery's cuDNN knows all its answers"
    return low if low == high else f"{format_bytes(size.likely)} ({low} to {high})"


def test_twenty_settings_give_the_figures_of_the_command_line(browser: Chromium) -> None:
    browser.open(PAGE)
    grid = json.loads(browser.value("document.getElementById('grid').textContent"))
    every = [
        (arch, gpu, optimizer, batch)
        for arch in range(len(grid["archs"]))
        for gpu in grid["gpus"]
        for optimizer in grid["optimizers"]
        for batch in grid["batches"]
    ]
    for arch, gpu, optimizer, batch in random.Random(20).sample(every, 20):
        chosen = urlencode({"batch": batch, "gpu": gpu, "optimizer": optimizer})
        browser.value(f"location.hash = {json.dumps(chosen)}; dispatchEvent(new Event('hashchange'))")
        row = f"document.querySelectorAll('#answers tbody tr')[{arch}]"
        cells = browser.value(f"[...{row}.querySelectorAll('td')].map(cell => cell.textContent)")
        sizes = json.loads(browser.value(f"{row}.dataset.bytes"))
        setup = Setup(batch=batch, optimizer=Optimizer(optimizer))
        said, largest = predicted(grid["archs"][arch], setup, pinned(gpu))
        whole = (said.process, said.peak_reserved, said.peak_allocated)
        assert sizes == [end for size in whole for end in (size.low, size.likely, size.high)]
        assert cells[0] == said.status.value
        for cell, size in zip(cells[1:4], whole, strict=True):
            assert cell == say_range(size)
        assert cells[4] == f"{largest:,}"
        failure = said.failure
        assert cells[5] == ("" if failure is None else say_failing(failure))
        usable = browser.value("document.getElementById('usable').textContent")
        assert usable == f"{format_bytes(said.usable_bytes)} of the {gpu} are usable."
        assert browser.value("document.getElementById('batch-said').textContent") == str(batch)


def test_everything_can_be_chosen_by_keyboard(browser: Chromium) -> None:
    browser.open("about:blank")
    browser.open(PAGE)
    before, at, *_ = browser.value(STATE)
    browser.press("Tab")
    browser.press("ArrowRight")
    batch, gpu, optimizer, focused, fragment = browser.value(STATE)
    assert int(batch) == int(before) + 1
    assert (gpu, optimizer, focused) == (at, "momentum", "batch")
    assert "batch=64" in fragment
    shown = browser.value("document.querySelector('#answers tbody').textContent")
    browser.press("Tab")
    browser.press("ArrowDown")
    browser.press("Tab")
    browser.press("ArrowDown")
    _, gpu, optimizer, focused, fragment = browser.value(STATE)
    assert (gpu, optimizer, focused) == (at + 1, "adam", "optimizer")
    assert "optimizer=adam" in fragment
    assert browser.value("document.querySelector('#answers tbody').textContent") != shown


def test_an_address_brings_a_setting_back_and_nonsense_the_one_that_was_asked(browser: Chromium) -> None:
    browser.open("about:blank")
    browser.open(f"{PAGE}#batch=8&gpu=GeForce+GTX+1650&optimizer=sgd")
    assert browser.value(STATE)[:3] == ["3", 0, "sgd"]
    browser.open("about:blank")
    browser.open(f"{PAGE}#batch=7&gpu=%3Cscript%3E&optimizer=none")
    assert browser.value(STATE)[:3] == ["5", 2, "momentum"]


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*/report.html")), ids=lambda path: path.parent.name)
@pytest.mark.parametrize("wide", [375, 1200])
def test_nothing_of_a_page_is_out_of_reach(browser: Chromium, path: Path, wide: int) -> None:
    """What is wider than the page scrolls in a box of its own; no words of a picture lie on others."""
    browser.send(
        "Emulation.setDeviceMetricsOverride", width=wide, height=800, deviceScaleFactor=1, mobile=False
    )
    browser.open(path.as_uri())
    assert browser.value("document.documentElement.scrollWidth") <= wide
    assert browser.value(HIDDEN) == []
    browser.value("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert browser.value(COLLISIONS) == []
    browser.send("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_paper_and_ink_follow_the_readers_scheme(browser: Chromium, scheme: str, *, dark: bool) -> None:
    browser.open(PAGE)
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    paper, ink = browser.value(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        ".map(said => said.match(/\\d+/g).map(Number).reduce((a, b) => a + b))"
    )
    assert (paper < ink) is dark
    chart = browser.value("getComputedStyle(document.querySelector('svg .paper')).fill.match(/\\d+/g)[0]")
    assert (int(chart) < 128) is dark
