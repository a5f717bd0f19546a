"""The cuDNN libraries at hand as text, from values made by hand."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from vggprof import views
from vggprof.forms import Form
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.listing import CudnnListing, ListedLibrary
from vggprof.memory.workspaces.targets import Choice

NEW = CudnnLibrary("9.26.0.51", Path("/new/libcudnn.so.9"), "package", 13)
OLD = CudnnLibrary("9.7.0", Path("/o|d/libcudnn.so.9"), "system", None)
NOTE = "cuDNN 9.19.0.56 is not at hand, 9.26.0.51 answers instead; do this"
LISTING = CudnnListing(
    libraries=(ListedLibrary(NEW, ("2.15", "2.16")), ListedLibrary(OLD, ())),
    frontend=True,
    torch="2.15.0",
    choice=Choice(NEW, "9.26.0.51"),
    releases=(("2.11", Choice(NEW, "9.19.0.56", note=NOTE)), ("2.15", Choice(NEW, "9.26.0.51"))),
)
NONE = CudnnListing((), True, None, Choice(None, None, note="no cuDNN here; pip install it"), ())


def lines_of(listing: CudnnListing, form: Form = Form.TABLE) -> list[str]:
    return views.libraries(listing, form).splitlines()


def test_who_answers_is_said_first() -> None:
    lines = lines_of(LISTING)
    assert lines[2] == (
        "torch 2.15.0 is installed; its release comes with cuDNN 9.26.0.51, which is at hand and answers"
    )
    assert "9.26.0.51    13  package  yes           2.15, 2.16        /new/libcudnn.so.9" in lines
    assert "9.7.0         -  system   no            -                 /o|d/libcudnn.so.9" in lines
    assert "2.11   9.19.0.56  9.26.0.51    no" in lines
    assert "2.15   9.26.0.51  9.26.0.51    yes" in lines


def test_a_choice_that_is_not_exact_has_its_note() -> None:
    other = CudnnListing(LISTING.libraries, True, "2.11.0", Choice(NEW, "9.19.0.56", note=NOTE), ())
    text = " ".join(" ".join(lines_of(other)).split())
    assert f"torch 2.11.0 is installed; its release comes with cuDNN 9.19.0.56 {NOTE}" in text


def test_none_at_all_is_a_plain_sentence_with_the_way_out() -> None:
    lines = lines_of(NONE)
    assert lines[2:5] == [
        "No torch is installed",
        "No cuDNN here; pip install it",
        "Without an answer, the workspaces of convolutions are ranges instead of numbers",
    ]
    assert not any(line.startswith("version") for line in lines)


def test_without_the_frontend_no_library_can_be_asked() -> None:
    listing = CudnnListing(LISTING.libraries, False, "2.15.0", LISTING.choice, LISTING.releases)
    text = " ".join(" ".join(lines_of(listing)).split())
    assert "pip install nvidia-cudnn-frontend brings it" in text
    assert "at hand and answers" not in text
    assert "2.15 9.26.0.51 - -" in text
    result = json.loads(views.libraries(listing, Form.JSON))
    assert result["answers"] is result["releases"][1]["answers"] is None
    assert (result["exact"], result["releases"][1]["exact"]) == (False, False)
    assert not any(library["askable"] or library["answers"] for library in result["libraries"])


def test_json() -> None:
    result = json.loads(views.libraries(LISTING, Form.JSON))
    assert (result["schema_version"], result["command"]) == (1, "cudnn list")
    assert result["libraries"][0] == {
        "version": "9.26.0.51",
        "cuda": 13,
        "origin": "package",
        "askable": True,
        "torch": ["2.15", "2.16"],
        "answers": True,
        "path": str(NEW.path),
    }
    assert (result["libraries"][1]["cuda"], result["libraries"][1]["askable"]) == (None, False)
    assert (result["torch_version"], result["answers"], result["exact"]) == ("2.15.0", "9.26.0.51", True)
    assert result["releases"][0] == {
        "torch": "2.11",
        "wanted": "9.19.0.56",
        "answers": "9.26.0.51",
        "exact": False,
        "note": NOTE,
    }
    empty = json.loads(views.libraries(NONE, Form.JSON))
    assert (empty["libraries"], empty["answers"], empty["wanted"]) == ([], None, None)


@pytest.mark.parametrize("listing", [LISTING, NONE])
def test_csv(listing: CudnnListing) -> None:
    rows = list(csv.DictReader(StringIO(views.libraries(listing, Form.CSV))))
    assert [row["version"] for row in rows] == [one.library.version for one in listing.libraries]
    if rows:
        assert (rows[0]["torch"], rows[0]["answers"]) == ("2.15 2.16", "true")
        assert (rows[1]["cuda"], rows[1]["answers"]) == ("", "false")


def test_paths_are_never_markup() -> None:
    assert r"/o\|d/libcudnn.so.9" in views.libraries(LISTING, Form.MARKDOWN)
