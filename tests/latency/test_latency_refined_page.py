"""What the page says of one measurement on a card: a line for each card, and fewer errors for it."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("numpy")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
        yield import_module("latency_refined")


@pytest.fixture(scope="module")
def lines() -> list[list[str]]:
    text = (ROOT / "docs" / "latency.md").read_text(encoding="utf-8")
    section = text.partition("<!-- refined -->\n")[2].partition("<!-- end -->")[0]
    return [line.strip("| ").split(" | ") for line in section.strip().splitlines()[2:]]


def test_a_line_a_card_and_its_other_networks(script: ModuleType, lines: list[list[str]]) -> None:
    rows = [row for row in import_module("latency_rows").rows() if not row.excluded and row.batch >= 12]
    expected = {}
    for gpu in {row.gpu for row in rows}:
        mine = [row for row in rows if row.gpu == gpu]
        one = script.given(mine)
        others = sum(row.arch != one.arch for row in mine)
        if others:
            expected[gpu] = (script._say(one)[0], str(others))
    assert {line[0]: (line[1], line[2]) for line in lines[:-1]} == expected
    assert lines[-1][0] == "all"
    assert int(lines[-1][2]) == sum(int(number) for _, number in expected.values()) > 600


def test_one_measurement_makes_errors_smaller(lines: list[list[str]]) -> None:
    before, after, within = (float(cell.removesuffix(" %")) for cell in lines[-1][3:6])
    assert after < before
    assert after < 11.8  # of published predictors that may measure on another GPU first
    assert within > 75
    own_before, own_after = (float(cell.removesuffix(" %")) for cell in lines[-1][6].split(" to "))
    assert own_after < own_before


def test_the_measurement_is_of_vgg16_in_training_where_there_is_one(script: ModuleType) -> None:
    rows = [
        row
        for row in import_module("latency_rows").rows()
        if row.gpu == "GeForce RTX 2080 Ti" and row.batch >= 12
    ]
    one = script.given(rows)
    assert (one.arch, one.mode, one.dtype) == ("vgg16", "train", "fp32")
