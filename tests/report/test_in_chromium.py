"""A page of the gallery in a real browser: the command line's figures, by keyboard, without a network."""

import json
import random
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from chromium import NAMES, Chromium, find_chromium
from reports_made import GALLERY, pinned, predicted

from vggprof.trace import Optimizer, Setup
from vggprof.units import format_bytes

PAGE = (GALLERY / "alexnet-vgg11" / "report.html").as_uri()
LOGGED = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
STATE = "[batch.value, gpu.selectedIndex, optimizer.value, document.activeElement.id, location.hash]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium is installed here (looked for {', '.join(NAMES)})")
    with Chromium(path) as started:
        yield started
        assert not started.said(*LOGGED)
        asked = [each["request"]["url"] for each in started.said("Network.requestWillBeSent")]
        assert asked
        assert all(url.startswith((PAGE, "data:")) for url in asked)


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
        said = predicted(grid["archs"][arch], setup, pinned(gpu))
        whole = (said.prediction.process, said.prediction.peak_reserved, said.prediction.peak_allocated)
        assert sizes == [end for size in whole for end in (size.low, size.likely, size.high)]
        assert cells[0] == said.prediction.status.value
        assert cells[3].startswith(format_bytes(said.prediction.shown.peak_allocated_bytes))
        assert cells[4] == f"{said.largest_batch:,}"
        assert bool(cells[5]) == (said.prediction.failure is not None)
        assert browser.value("document.getElementById('batch-said').textContent") == str(batch)


def test_everything_can_be_chosen_by_keyboard(browser: Chromium) -> None:
    browser.open("about:blank")
    browser.open(PAGE)
    before, *_ = browser.value(STATE)
    browser.press("Tab")
    browser.press("ArrowRight")
    batch, gpu, optimizer, focused, fragment = browser.value(STATE)
    assert int(batch) == int(before) + 1
    assert (gpu, optimizer, focused) == (0, "momentum", "batch")
    assert "batch=64" in fragment
    shown = browser.value("document.querySelector('#answers tbody').textContent")
    browser.press("Tab")
    browser.press("ArrowDown")
    browser.press("Tab")
    browser.press("ArrowDown")
    _, gpu, optimizer, focused, fragment = browser.value(STATE)
    assert (gpu, optimizer, focused) == (1, "adam", "optimizer")
    assert "optimizer=adam" in fragment
    assert browser.value("document.querySelector('#answers tbody').textContent") != shown


def test_an_address_brings_a_setting_back_and_nonsense_the_one_that_was_asked(browser: Chromium) -> None:
    browser.open("about:blank")
    browser.open(f"{PAGE}#batch=8&gpu=GeForce+GTX+1650&optimizer=sgd")
    assert browser.value(STATE)[:3] == ["3", 1, "sgd"]
    browser.open("about:blank")
    browser.open(f"{PAGE}#batch=7&gpu=%3Cscript%3E&optimizer=none")
    assert browser.value(STATE)[:3] == ["5", 0, "momentum"]


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
