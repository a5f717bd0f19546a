"""What notebooks show of results."""

from dataclasses import replace
from pathlib import Path

import pytest
from measurement_made import on_cpu

import vggprof
from vggprof import api
from vggprof.compare.sweep import SweepReport
from vggprof.profiler.sweep import Sweep
from vggprof.target import Target
from vggprof.trace import Setup
from vggprof.views.document import Column, Document, Lines, Notes, Table, Unit
from vggprof.views.html import html_of
from vggprof.views.notebook import DOCUMENTS
from vggprof.workloads.fashion import Epoch, FashionPlan, FashionReport, MeasuredMemory, Pass, Trained
from vggprof.workloads.jitter import JitterReport, Pipeline, Scales, Step

HOSTILE = "<script>alert(1)</script>&\"'\x1b[2J"


def shown(value: object) -> str:
    """Return what IPython shows: it asks the object for it."""
    text = value._repr_html_()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_results_show_themselves_as_tables() -> None:
    table = api.layers("lenet5", Setup(batch=2))
    text = shown(table)
    assert "<h3>lenet5: layers</h3>" in text
    assert "<td>61,706</td>" in text
    assert text.count("<table>") == 2
    assert all(hasattr(kind, "_repr_html_") for kind in DOCUMENTS)
    assert "vgg11 against alexnet" in shown(api.compare(["alexnet", "vgg11"]))
    assert "GPUs in the catalogue" in shown(api.list_gpus())


# What calls return that is no result to look at: a module, a state dict, a trace, or nothing.
_OTHERS = {"nn.Module", "dict[str, Tensor]", "Trace", "None"}


@pytest.mark.parametrize("name", [name for name in vggprof.__all__ if hasattr(api, name)])
def test_what_a_call_returns_shows_itself(name: str) -> None:
    """Tuples are shown by IPython as what they are."""
    kind = getattr(api, name).__annotations__["return"].removeprefix("changes.")
    assert kind in _OTHERS or kind.startswith("tuple[") or kind in {each.__name__ for each in DOCUMENTS}


def workloads() -> tuple[object, ...]:
    """Return results of workloads, of networks whose name is hostile."""
    place = Target(gpu_memory="8GiB", torch="2.15")
    memory = api.memory("lenet5", Setup(batch=2), place)
    once = Pass(20, 1.25, 0.5, 2.0)
    trained = Trained("cpu", None, 20, 20, (Epoch(once, once),), MeasuredMemory(), HOSTILE)
    scales = Scales(256, 256)
    return (
        replace(api.dense("lenet5", target=place), arch=HOSTILE),
        FashionReport(FashionPlan(Path(), arch=HOSTILE), trained, memory),
        JitterReport(
            HOSTILE,
            memory.setup,
            (28, 28),
            HOSTILE,
            memory,
            (Pipeline(scales, 100, 2.0, 1),),
            (Step(HOSTILE, 9.0, 2),),
            60_000,
        ),
    )


def test_workloads_show_themselves_as_tables() -> None:
    for result in workloads():
        text = shown(result)
        assert "<table>" in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "<script" not in text
        assert "\x1b" not in text
    assert "<h3>Will it run here</h3>" in shown(api.doctor())


def test_measurements_show_themselves_with_and_without_predictions() -> None:
    made = on_cpu()
    hostile = replace(made, conditions=replace(made.conditions, arch=HOSTILE))
    for result in (hostile, Sweep((made, hostile)), api.compare_measurement(hostile)):
        text = shown(result)
        assert "<table>" in text
        assert "&lt;script&gt;" in text
        assert "<script" not in text
    several = shown(api.compare_sweep((made, made)))
    assert several.count('<div class="vggprof">') == 3
    assert several.count("How to read this") == 1
    assert "<h3>2 measurements</h3>" in several
    assert "<h3>0 measurements</h3>" in shown(Sweep((), interrupted=True))
    assert isinstance(api.compare_sweep((made,)), SweepReport)


def test_names_are_escaped() -> None:
    table = api.layers("lenet5", Setup(batch=2))
    rows = (replace(table.rows[0], name=HOSTILE), *table.rows[1:])
    text = shown(replace(table, arch=HOSTILE, rows=rows))
    assert "<script" not in text
    assert "\x1b" not in text
    assert (
        text.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;\\x1b[2J") == 3
    )  # title, two tables


def test_a_document_keeps_its_parts_and_drops_notes_that_say_nothing() -> None:
    columns = (Column("name", Unit.TEXT), Column("bytes", Unit.BYTES))
    document = Document(
        "a title",
        (
            Lines(("one", "two")),
            Table("sizes", columns, (("a", 1024), ("b", None))),
            Notes("empty", ()),
            Notes("notes", ("said",)),
        ),
    )
    text = html_of(document)
    assert "<p>one<br>two</p>" in text
    assert '<th scope="col" class="left">name</th><th scope="col">bytes</th>' in text
    assert '<td class="left">a</td><td>1.00 KiB</td>' in text
    assert '<td class="left">b</td><td>-</td>' in text
    assert "empty" not in text
    assert "<li>said</li>" in text
