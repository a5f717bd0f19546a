"""A report as files: whole in itself, small, and deaf to hostile names."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from measurement_made import on_cpu
from reports_made import GALLERY, nobody_to_ask

from vggprof import api, views
from vggprof.measurement import Conditions
from vggprof.report import Report
from vggprof.target import Target
from vggprof.trace import Setup
from vggprof.views.document import printable

HOSTILE = "# <img src=x onerror=alert(1)>&\"'`|[x](y)~~$\x1b[2J\u202e\n- "
GPU = """\
name: {name}
capability: "8.9"
sm_count: 24
boost_khz: 2460000
l2_bytes: 25165824
memory_type: GDDR6
bus_bits: 128
memory_khz: 8501000
bandwidth_bytes_per_s: 272000000000
memory_bytes: 1073741824
"""
UNRULED = """\
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(40, 10)

    def forward(self, x):
        return self.fc(torch.fft.rfft(x).abs().flatten(1))


build = Net
"""
NET = """\
name: hostile
title: {title}
source: nobody
input: 1x28x28
parameters: {{classes: 10}}
layers:
  - conv1: {{conv: 4, kernel: 3}}
  - flatten
  - fc: {{linear: classes}}
"""


COLUMNS = ("vgg11", "vgg11-lrn", "vgg13", "vgg16-1x1", "vgg16", "vgg19")


class _Read(HTMLParser):
    """Keeps the tags and the addresses that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report whose ARCH, GPU and measurement all have hostile names."""
    folder = tmp_path_factory.mktemp("names")
    net = folder / "<script>alert(2)<script>&'|`_*.yaml"
    net.write_text(NET.format(title=json.dumps(HOSTILE)), encoding="utf-8")
    gpu = folder / "gpu.yaml"
    gpu.write_text(GPU.format(name=json.dumps(HOSTILE)), encoding="utf-8")
    kept = folder / "kept.jsonl"
    setup = Setup(batch=2)
    measured = on_cpu()
    api.write_measurements(
        [
            replace(
                measured,
                conditions=Conditions(str(net), setup, "cpu"),
                environment=replace(measured.environment, device_name=HOSTILE),
            )
        ],
        kept,
    )
    with nobody_to_ask():
        return api.report(
            [str(net), "lenet5"], setup, Target(gpu=str(gpu)), gpus=(), optimizers=[], measurements=kept
        )


def test_hostile_names_reach_the_report(hostile: Report) -> None:
    assert "<script>" in hostile.archs[0]
    assert hostile.choices[0].device.name == HOSTILE
    times = hostile.studies[0].profile.times
    assert times is not None
    assert HOSTILE in times.source


def test_a_page_takes_no_name_for_markup(hostile: Report) -> None:
    text = views.report_files(hostile)["report.html"]
    page = _Read(text)
    assert page.tags.count("script") == 2  # the grid and what looks things up in it
    assert "img" not in page.tags
    assert not page.handlers
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_commands_stand_on_lines_of_their_own(hostile: Report) -> None:
    code = views.report_files(hostile)["report.html"].partition("<pre")[2].partition("</pre>")[0]
    lines = html.unescape(code.partition(">")[2]).splitlines()
    assert lines == [printable(command) for command in hostile.commands]
    assert len(lines) == 8  # report, compare, and three for each network


def test_markdown_takes_no_name_for_markup(hostile: Report) -> None:
    whole = views.report_files(hostile)["report.md"]
    commands = re.findall(r"^ {4}.*$", whole, re.MULTILINE)
    assert len(commands) == len(hostile.commands)  # code, where nothing is markup
    text = re.sub(r"^ {4}.*$", "", whole, flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)<(img|script)", text)
    assert "\x1b" not in text
    titles = re.findall(r"^#+ \\?<.*$", text, re.MULTILINE)
    assert not titles  # the GPU's name begins like one
    assert "\\# \\<img" in text
    assert not re.search(r"(?<!\\)~|(?<!\\)\$", text)
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert tables
    assert all(re.sub(r"\\.", "", line).count("|") >= 3 for line in tables)


def test_charts_take_no_name_for_markup(hostile: Report) -> None:
    charts = {name: text for name, text in views.report_files(hostile).items() if name.endswith(".svg")}
    assert len(charts) == 7
    for text in charts.values():
        tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}
        assert not tags & {"script", "img", "image", "a"}


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*/report.html")), ids=lambda path: path.parent.name)
def test_a_page_of_the_gallery_is_one_small_file_that_needs_no_other(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    page = _Read(text)
    assert set(page.addresses) <= {"data:,"}
    assert {"h1", "svg", "input", "select", "table", "details"} <= set(page.tags)
    bare = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|@import|<link(?! rel=\"icon\" href=\"data:,\")|<iframe|<img", bare)
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*/report.md")), ids=lambda path: path.parent.name)
def test_markdown_shows_its_charts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert sorted(shown) == sorted(chart.name for chart in path.parent.glob("*.svg"))
    assert text.startswith("# ")
    if path.parent.name != "out-of-memory":
        assert text.index("## Verdict") < text.index("## Batches that fit") < text.index("## What is assumed")
        assert ("## Why" in text) == (path.parent.name in ("alexnet-vgg11", "vgg-columns"))
        assert "TIGHT: it hangs on that." in text  # what the words of the tables mean
        assert "80 of 100 such times lie within the intervals" in text  # times are assumed to be right, too
        assert "MACs are the multiply-accumulates" in text
        again = text.partition("## How to make this again")[2]
        assert again.startswith("\n\n    vggprof report ")


def test_the_gallery_answers_the_question_it_was_made_for() -> None:
    text = (GALLERY / "alexnet-vgg11" / "report.md").read_text(encoding="utf-8")
    assert "vgg11 does 10.65 x the MACs of alexnet" in text
    assert "vgg11 has 2.17 x the parameters of alexnet" in text
    assert "fc6 alone holds 77.3% of the parameters of vgg11" in text
    head, _, *rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][:4]
    assert head[1:5] == ["on GeForce RTX 3060 12GB", "to spare", "largest batch", "that FITS"]
    assert [row[1] for row in rows] == ["FITS", "FITS"]
    assert [row[3:5] for row in rows] == [["2,079", "2,051"], ["153", "153"]]
    assert "Width: vgg11 has more channels in its layers, which multiplies the MACs by 2.31" in text
    assert [row[7:] for row in rows] == [["25.02", "1.00 x |"], ["207.31", "8.29 x |"]]
    assert "A step of vgg11 takes 8.29 x as long as one of alexnet: 207.31 ms against 25.02 ms" in text
    full = (GALLERY / "out-of-memory" / "report.md").read_text(encoding="utf-8")
    assert "It asks for 2.00 KiB: nothing was left." in full
    assert "It asks for 16.00 KiB: nothing was left." in full
    tight = next(line for line in full.splitlines() if line.endswith("| TIGHT |")).split(" | ")
    assert tight[-3:-1] == ["5.20 GiB", "3.33 GiB"]
    assert full.index("On cards of 4 GiB and more the training cannot have filled it") < full.index("|")


def test_the_six_columns_stand_beside_what_their_paper_says() -> None:
    columns = (GALLERY / "vgg-columns" / "report.md").read_text(encoding="utf-8")
    row = next(line for line in columns.splitlines() if line.startswith("| vgg16 | 138 M |"))
    assert row.split(" | ")[2:4] == ["138,357,544", "15.47 G"]
    assert row.endswith(" | 8.80 | 8.10 |")
    head = next(line for line in columns.splitlines() if "| parameters, published |" in line)
    sizes = [title.partition("largest batch, ")[2] for title in head.split(" | ") if "largest batch" in title]
    assert sizes == ["GeForce GTX 1650", "GeForce RTX 4060", "GeForce RTX 3060 12GB", "GeForce RTX 4090"]
    largest = [line.split(" | ") for line in columns.splitlines() if line.startswith("| GeForce")]
    at = 2 + COLUMNS.index("vgg16")
    assert row.split(" | ")[5:9] == [cells[at].removesuffix(" |") for cells in largest]


def test_what_has_no_rule_is_told_of(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(UNRULED, encoding="utf-8")
    with nobody_to_ask():
        report = api.report([f"{net}:build@input=1x8x8"], Setup(batch=2), Target(gpu_memory="1GiB"), gpus=())
    assert [each.operator for each in report.studies[0].profile.table.ledger] == ["aten._fft_r2c.default"]
    text = views.report_files(report)["report.md"]
    assert "### Not counted" in text
    assert "fft" in text.partition("### Not counted")[2]


def test_times_have_a_table_where_they_are_known(hostile: Report) -> None:
    text = views.report_files(hostile)["report.md"]
    assert "a step takes 11.00 ms" in text  # the median of 10, 11 and 12
    assert "Prices are fitted" not in text  # nobody predicted these
    studies = (replace(each, profile=replace(each.profile, times=None)) for each in hostile.studies)
    without = views.report_files(replace(hostile, studies=tuple(studies)))["report.md"]
    assert "a step takes" not in without
