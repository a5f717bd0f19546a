"""How cells are said, and how a document becomes text and markdown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.views.document import Cell, Column, Document, Lines, Notes, Table, Unit, printable, say
from vggprof.views.markdown import markdown_of
from vggprof.views.table import WIDTH, text_of


@pytest.mark.parametrize(
    ("cell", "unit", "said"),
    [
        (None, Unit.TEXT, "-"),
        (None, Unit.BYTES, "-"),  # not known is not 0
        (0, Unit.BYTES, "0"),
        (1536, Unit.BYTES, "1.50 KiB"),
        (138_357_544, Unit.EXACT, "138,357,544"),
        (15_470_264_320, Unit.COUNT, "15.47 G"),
        ((1, 64, 224, 224), Unit.SHAPE, "1x64x224x224"),
        ((), Unit.SHAPE, "scalar"),
        (10.6511, Unit.RATIO, "10.65 x"),
        (0.1234, Unit.PERCENT, "12.3 %"),
        (2 / 3, Unit.NUMBER, "0.67"),
        ("\x1b[31mred\n", Unit.TEXT, "\\x1b[31mred\\n"),
        ("Schicht_\N{GREEK SMALL LETTER MU}", Unit.TEXT, "Schicht_\N{GREEK SMALL LETTER MU}"),
        ("\udcff", Unit.TEXT, "\\udcff"),
    ],
)
def test_say(cell: Cell, unit: Unit, said: str) -> None:
    assert say(cell, unit) == said


def test_a_row_has_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError, match="has not 2 cells"):
        Table("t", (Column("a", Unit.TEXT), Column("b", Unit.TEXT)), (("only one",),))


DOCUMENT = Document(
    "net: layers",
    (
        Lines(("first line", "second line")),
        Table(
            "Cost",
            (Column("layer", Unit.TEXT), Column("params", Unit.EXACT), Column("shape", Unit.SHAPE)),
            (("conv1_1", 1792, (1, 64)), ("_a|b<i>", None, None)),
        ),
        Notes("Notes", ("short", " ".join(["long"] * 30))),
    ),
)


def test_text() -> None:
    folded = f"- {' '.join(['long'] * 19)}\n  {' '.join(['long'] * 11)}"
    assert text_of(DOCUMENT) == (
        "net: layers\n"
        "\n"
        "first line\n"
        "second line\n"
        "\n"
        "Cost\n"
        "layer    params  shape\n"
        "-------  ------  -----\n"
        "conv1_1   1,792  1x64\n"
        "_a|b<i>       -  -\n"
        "\n"
        "Notes\n"
        "- short\n"
        f"{folded}\n"
    )


def test_markdown() -> None:
    assert markdown_of(DOCUMENT) == (
        "# net: layers\n"
        "\n"
        "first line\\\n"
        "second line\n"
        "\n"
        "## Cost\n"
        "\n"
        "| layer | params | shape |\n"
        "| :-- | --: | :-- |\n"
        "| conv1_1 | 1,792 | 1x64 |\n"
        r"| \_a\|b\<i\> | - | - |" + "\n"
        "\n"
        "## Notes\n"
        "\n"
        "- short\n"
        f"- {' '.join(['long'] * 30)}\n"
    )


@given(name=st.text(max_size=30))
def test_no_name_leaves_its_cell(name: str) -> None:
    table = Table(name, (Column(name, Unit.TEXT), Column("b", Unit.TEXT)), ((name, "x"),))
    document = Document(name, (Lines((name,)), table, Notes(name, (name,))))
    markdown = markdown_of(document)
    rows = [line for line in markdown.splitlines() if line.endswith("| x |")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", rows[0])) == 3
    assert not re.search(r"(?<!\\)(?:\\\\)*[<`\[]", markdown)
    for text in (markdown, text_of(document)):
        assert all(line.isprintable() for line in text.split("\n"))


@given(st.text())
def test_printable_text_is_left_as_it_is(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=20), max_size=40)
)
def test_running_text_keeps_to_its_width(words: list[str]) -> None:
    text = text_of(Document("t", (Notes("n", (" ".join(words),)),)))
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert text.split()[3:] == words
