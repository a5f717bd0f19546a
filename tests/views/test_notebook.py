"""What notebooks show of results."""

from dataclasses import replace

from vggprof import api
from vggprof.trace import Setup
from vggprof.views.document import Column, Document, Lines, Notes, Table, Unit
from vggprof.views.html import html_of
from vggprof.views.notebook import DOCUMENTS

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
