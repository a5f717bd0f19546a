"""docs/accuracy.md shows what the present code predicts, and what is exact in it is exact."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from vggprof.target import Target
from vggprof.units import MIB

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
LINES = frozenset(PAGE.splitlines())

pytestmark = pytest.mark.usefixtures("torchvision")


@pytest.fixture(scope="module")
def accuracy() -> Iterator[ModuleType]:
    """Return the script that writes the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
        yield import_module("accuracy")


def rows(accuracy: ModuleType) -> dict[int, object]:
    return {row.number: row for row in accuracy.rows()}


def bare(accuracy: ModuleType, number: int) -> tuple[object, object]:
    """Return a row and what is asked for it under torch 2.15 with no workspace, which needs no cuDNN."""
    predicted = import_module("predicted")
    row = rows(accuracy)[number]
    traces = predicted.traces_of(row.arch, row.optimizer)  # type: ignore[attr-defined]
    return row, predicted.run_as(row, Target(torch="2.15").software({}), traces)


def on_page(line: list[str]) -> bool:
    return "| " + " | ".join(line) + " |" in LINES


def test_every_measurement_is_on_the_page_and_has_a_source(accuracy: ModuleType) -> None:
    shown = {line.split(" | ")[0].removeprefix("| ") for line in LINES}
    assert len(rows(accuracy)) == 25
    for number in rows(accuracy):
        assert str(number) in shown
    assert all(map(on_page, accuracy.unused()))
    assert len(list(accuracy.unused())) == 2
    text = import_module("measured").MEASURED.read_text(encoding="utf-8")
    assert all("github:" in line for line in text.splitlines()[1:])


def test_context_is_what_the_page_shows(accuracy: ModuleType) -> None:
    lines = list(accuracy.contexts())
    assert len(lines) == 10
    assert all(map(on_page, lines))


@pytest.mark.parametrize("number", [25, 46])
def test_predictions_without_workspaces_are_what_the_page_shows(accuracy: ModuleType, number: int) -> None:
    """They depend on the trace, the allocator and the context alone."""
    row, found = bare(accuracy, number)
    assert on_page(accuracy.bare_line(row, "", found))


@pytest.mark.parametrize("release", ["2.11", "2.15"])
def test_predictions_are_what_the_page_shows(accuracy: ModuleType, release: str) -> None:
    """For rows that are quickly predicted, where the cuDNN of that torch is at hand."""
    name = next((name for name in accuracy.softwares() if name.startswith(f"torch {release},")), None)
    if name is None:
        pytest.skip(f"the cuDNN of torch {release} is not at hand")
    made = {2: ("forward", "unsplit"), 3: ("forward", "unsplit"), 4: ("forward", "unsplit"), 46: ("nvml",)}
    for number, lines in made.items():
        row = rows(accuracy)[number]
        for line in lines:
            shown = getattr(accuracy, f"{line}_line")(row, name, accuracy.asked(row, name))
            assert on_page(shown), f"run benchmarks/accuracy.py: the page does not show {shown}"


@pytest.mark.parametrize(("number", "tensors"), [(3, 794_402_816), (4, 5_524_963_328)])
def test_tensors_of_the_first_forward_pass_are_exact(accuracy: ModuleType, number: int, tensors: int) -> None:
    _, found = bare(accuracy, number)
    assert accuracy.forward_parts(found)[0] == tensors


def test_first_tensors_of_alexnet_leave_the_slack_that_was_measured(accuracy: ModuleType) -> None:
    """A request of 10 MiB or more gets a segment of whole 2 MiB; a rest of up to 1 MiB is not split off.

    256 images: conv1's 64 x 55 x 55 floats, the pool's 64 x 27 x 27 and as many 64-bit indices.
    """
    sizes = (256 * 64 * 55 * 55 * 4, 256 * 64 * 27 * 27 * 4, 256 * 64 * 27 * 27 * 8)
    rests = [-size % (2 * MIB) for size in sizes]
    assert rests == [983_040, 458_752, 917_504]
    assert max(rests) <= MIB
    for number in (2, 3):  # A100 and T4
        row, found = bare(accuracy, number)
        assert row.nbytes == accuracy.forward_parts(found)[0] + sum(rests)  # type: ignore[attr-defined]
        assert row.nbytes == 796_762_112  # type: ignore[attr-defined]


def test_resnet18_on_the_t4_took_its_tensors_and_no_more(accuracy: ModuleType) -> None:
    row, found = bare(accuracy, 4)
    assert row.nbytes == accuracy.forward_parts(found)[0]  # type: ignore[attr-defined]
