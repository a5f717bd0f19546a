"""The contract of the memory prediction: a card it fits, one it does not, and a ladder; no cuDNN is asked."""

import csv
import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from vggprof import api, views
from vggprof.devices import find_device, ladder
from vggprof.forms import Form
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.forecast import Card, Forecast, LargestBatches, Software
from vggprof.memory.report import MemoryReport, report
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.targets import Choice
from vggprof.trace import Setup, ZeroGrad
from vggprof.trace.traces import Traces

SOFTWARE = Software((2, 15), (13, 0), Choice(None, None), CudnnSettings(), AllocatorConfig(torch=(2, 15)))


def reported(arch: str, setup: Setup, *names: str) -> MemoryReport:
    """What training *arch* takes on the GPUs called *names*, or on the ladder."""
    cards = [Card(find_device(name)) for name in names] or [Card(device) for device in ladder()]
    with Forecast(Traces(lambda _: api.trace_arch(arch, setup)), SOFTWARE) as forecast:
        return report(forecast, setup.batch, cards, search=False)


@pytest.fixture(scope="module")
def small() -> MemoryReport:
    return reported("lenet5", Setup(batch=2), "RTX 3060")


@pytest.fixture(scope="module")
def too_large() -> MemoryReport:
    return reported("vgg16", Setup(batch=512), "RTX 3060")


@pytest.fixture(scope="module")
def several() -> MemoryReport:
    return reported("lenet5", Setup(batch=2))


def parsed(memory: MemoryReport) -> dict[str, Any]:
    result = json.loads(views.memory(memory, Form.JSON))
    assert isinstance(result, dict)
    return result


def test_one_card_stands_at_the_top_of_the_json_too(small: MemoryReport) -> None:
    result = parsed(small)
    (device,) = result["devices"]
    assert result["prediction"] == device["prediction"]
    assert result["verdict"] == device["verdict"]
    assert device["verdict"]["status"] == "FITS"
    assert device["verdict"]["oom"] is device["verdict"]["largest_batch"] is None
    assert device["verdict"]["largest_batch_fits"] is None
    assert result["marks"][0]["phase"] == "model"
    assert result["peak"]["allocated_bytes"] == sum(result["breakdown_bytes"].values())
    assert result["prediction"]["peak_allocated_bytes_low"] >= result["tensors"]["peak"]["allocated_bytes"]


def test_ranges_enclose_what_is_likely(several: MemoryReport) -> None:
    for device in parsed(several)["devices"]:
        numbers = device["prediction"]
        for name in [name for name in numbers if name.endswith("_low")]:
            size = name.removesuffix("_low")
            low, likely, high = numbers[name], numbers[size], numbers[f"{size}_high"]
            assert low < high
            assert likely is None or low <= likely <= high  # None: nobody could be asked


def test_a_ladder_is_of_tensors_at_the_top(several: MemoryReport) -> None:
    result = parsed(several)
    assert "verdict" not in result
    assert len(result["devices"]) == len(ladder())
    assert result["marks"] == result["tensors"]["marks"]
    assert result["breakdown_bytes"] == result["tensors"]["breakdown_bytes"]
    assert sum(result["breakdown_bytes"].values()) == result["peak"]["allocated_bytes"]


def test_an_oom_says_where_and_how_much(too_large: MemoryReport) -> None:
    result = parsed(too_large)
    oom = result["verdict"]["oom"]
    assert result["verdict"]["status"] == "OOM"
    assert result["verdict"]["spare_bytes"] < 0 < oom["requested_bytes"]
    assert (oom["step"], oom["layer"] is None) == (0, False)
    assert oom["message"].startswith("CUDA out of memory. Tried to allocate ")


@pytest.mark.parametrize(
    ("likely", "sure", "said"),
    [
        (9, 9, "Largest batch that fits: 9"),
        (9, 7, "Largest batch that fits: 9, which is TIGHT; 7 is the largest that FITS"),
        (9, 0, "Largest batch that fits: 9, which is TIGHT; none FITS"),
        (0, 0, "Largest batch that fits: 0"),
    ],
)
def test_the_largest_batch_that_is_tight_is_not_alone(
    small: MemoryReport, likely: int, sure: int, said: str
) -> None:
    card = replace(small.cards[0], largest=LargestBatches(likely, sure))
    searched = replace(small, cards=(card,))
    assert views.memory(searched, Form.TABLE).splitlines()[4] == said
    verdict = parsed(searched)["verdict"]
    assert (verdict["largest_batch"], verdict["largest_batch_fits"]) == (likely, sure)


def test_csv_is_one_table(several: MemoryReport) -> None:
    rows = list(csv.DictReader(StringIO(views.memory(several, Form.CSV))))
    assert [row["what"] for row in rows].count("card") == len(ladder())
    assert {"card", "mark", "share"} == {row["what"] for row in rows}
    assert all(row["allocated_bytes"].isdigit() for row in rows if row["what"] != "card")
    cards = [
        (row["card"], row["verdict"], row["phase"], row["kind"]) for row in rows if row["what"] == "card"
    ]
    told = [card.prediction for card in several.cards]
    assert cards == [(prediction.device.name, prediction.status.value, "", "") for prediction in told]
    assert {(row["card"], row["verdict"]) for row in rows if row["what"] != "card"} == {("", "")}


def test_the_loop_that_is_assumed_is_the_one_that_was_traced(small: MemoryReport) -> None:
    other = reported("lenet5", Setup(batch=2, accumulate=3, zero_grad=ZeroGrad.ZERO), "RTX 3060")
    plain, said = (" ".join(each.assumptions) for each in (small, other))
    assert "zero_grad(set_to_none=True)" in plain
    assert "micro-batches" not in plain
    assert "zero_grad(set_to_none=False)" in said
    assert "Each step moves in and runs 3 micro-batches" in said


def test_what_the_numbers_rest_on_is_said(small: MemoryReport) -> None:
    text = views.memory(small, Form.TABLE)
    assert "cuDNN could not be asked" in text
    assert all(sentence in " ".join(text.split()) for sentence in small.assumptions)
