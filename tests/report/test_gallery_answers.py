"""The gallery's recorded answers are all that its pages ask, and what the cuDNN of that version says."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from reports_made import GALLERY, gallery

from vggprof import api
from vggprof.memory.forecast import Forecast
from vggprof.memory.report import CardReport
from vggprof.memory.report import report as memory_report
from vggprof.memory.workspaces.launch import find_frontend
from vggprof.memory.workspaces.libraries import find_libraries
from vggprof.memory.workspaces.plans import Plan
from vggprof.memory.workspaces.process import Failure
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.recorded import NotRecordedError, Recorded, place
from vggprof.target import Target
from vggprof.trace import Optimizer, Setup
from vggprof.trace.traces import Traces

SETUP = Setup(batch=32)


class Listening(Recorded):
    """Recorded answers that keep where each that was asked lies."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__(recorded.version, recorded.answers)
        self.asked: list[str] = []

    def find(
        self, device: str, queries: Sequence[CudnnQuery]
    ) -> dict[CudnnQuery, tuple[Plan, ...] | Failure]:
        self.asked += [place(device, query) for query in queries]
        return super().find(device, queries)


def searched(arch: str, setup: Setup, target: Target) -> CardReport:
    """Return what `vggprof memory` says, with both of the largest batches."""
    traces = Traces(lambda batch: api.trace_arch(arch, replace(setup, batch=batch)))
    with Forecast(traces, target.software()) as forecast:
        found = memory_report(forecast, setup.batch, target.cards()).single
    assert found is not None
    return found


def test_a_question_without_a_recorded_answer_ends_the_making(monkeypatch: pytest.MonkeyPatch) -> None:
    made = gallery()
    heard = Listening(made.recorded())
    monkeypatch.setattr(made, "recorded", lambda: heard)
    setup = Setup(batch=32, optimizer=Optimizer.SGD)
    searched("vgg11-d2l", setup, made.PINNED)
    last = heard.asked[-1]  # at the edge that the search for the largest batch found
    less = Recorded(heard.version, {key: plans for key, plans in heard.answers.items() if key != last})
    monkeypatch.setattr(made, "recorded", lambda: less)
    number = [page.name for page in made.PAGES].index("vgg11-d2l")
    with pytest.raises(NotRecordedError, match="not among the recorded answers of cuDNN"):
        made.page(number)


@pytest.mark.parametrize("arch", ["alexnet", "vgg11"])
def test_the_page_says_the_largest_batches_that_memory_says(arch: str) -> None:
    text = (GALLERY / "alexnet-vgg11" / "report.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| {arch} | FITS "))
    said = searched(arch, SETUP, gallery().PINNED)
    assert row.split(" | ")[3:5] == [f"{said.largest_batch:,}", f"{said.largest_batch_fits:,}"]


def test_recorded_answers_give_what_the_library_itself_gives() -> None:
    made = gallery()
    if find_frontend() is None or made.CUDNN not in {library.version for library in find_libraries()}:
        pytest.skip(f"cuDNN {made.CUDNN} and its frontend are not both installed here")
    there = searched("alexnet", SETUP, Target(gpu=made.CARD, torch=made.TORCH, cudnn=made.CUDNN))
    assert searched("alexnet", SETUP, made.PINNED) == there
