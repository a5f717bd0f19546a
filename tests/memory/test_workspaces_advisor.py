"""Who is asked when, without cuDNN: questions are shared, and nothing is left running."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Barrier, Event

import pytest

from vggprof import api
from vggprof.memory.workspaces import advisor as advisor_module
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.advisor import Advisor
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.plans import Answer, Plan
from vggprof.memory.workspaces.process import Failure
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.targets import Choice
from vggprof.target import Target
from vggprof.trace import Setup

T4 = DeviceProperties("Tesla T4", (7, 5), 40, 1_590_000, 5_001_000, 4_194_304, 15_828_320_256)
V100 = DeviceProperties("Tesla V100-SXM2-16GB", (7, 0), 80, 1_530_000, 877_000, 6_291_456, 16_935_682_048)
LIBRARY = CudnnLibrary("9.26.0.51", Path("libcudnn.so.9"), "given", 13)
PATIENCE_S = 30.0


class Worker:
    """Answers with the batch as the workspace; its class notes what happened."""

    made: list["Worker"]
    asked: list[int]  # batches, in order

    def __init__(self, library: CudnnLibrary) -> None:
        assert library is LIBRARY
        self.made.append(self)
        self.started = False
        self.closed = Event()
        self.answered = 0

    def start(self, device: str, query: CudnnQuery) -> None:
        assert device == T4.cudnn_json()
        assert query.operation is Pass.FORWARD
        self.started = True

    def ask(self, device: str, query: CudnnQuery) -> tuple[Plan, ...] | Failure:
        assert device == T4.cudnn_json()
        self.asked.append(query.x.shape[0])
        self.meanwhile()
        self.answered += 1
        return (Plan("eng1", query.x.shape[0], (), fallback=False),)

    def meanwhile(self) -> None:
        """What happens before an answer."""

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Worker, "made", [], raising=False)
    monkeypatch.setattr(Worker, "asked", [], raising=False)
    monkeypatch.setattr(advisor_module, "Worker", Worker)
    monkeypatch.setattr(advisor_module, "find_frontend", lambda: tmp_path)
    monkeypatch.setattr(advisor_module, "_PROCESSES", 2)
    monkeypatch.setenv("VGGPROF_CACHE_DIR", str(tmp_path))


@pytest.fixture
def advisor() -> Iterator[Advisor]:
    threads = set(threading.enumerate())
    with Advisor(Choice(LIBRARY, LIBRARY.version)) as made:
        yield made
    assert all(worker.closed.is_set() for worker in Worker.made)
    assert set(threading.enumerate()) <= threads


def questions(count: int) -> list[Workspace]:
    """One for each batch from 1 on."""
    weight = Strided.contiguous((8, 8, 1, 1))
    images = [Strided.contiguous((batch + 1, 8, 4, 4)) for batch in range(count)]
    return [
        Workspace(
            CudnnQuery(Pass.FORWARD, "float32", image, weight, image, (0, 0), (1, 1), (1, 1), "A"),
            CudnnSettings(),
        )
        for image in images
    ]


def test_two_processes_share_many_questions(advisor: Advisor, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)
    firsts = iter([both.wait, both.wait])
    monkeypatch.setattr(Worker, "meanwhile", lambda _: next(firsts, lambda _s: 0)(PATIENCE_S))
    asks = questions(20)
    answers = advisor.answers(asks, T4)
    assert list(answers) == asks
    assert [answer.nbytes for answer in answers.values() if isinstance(answer, Answer)] == [*range(1, 21)]
    assert sorted(Worker.asked) == [*range(1, 21)]
    assert [worker.answered > 0 for worker in Worker.made] == [True, True]


def test_one_process_answers_a_few(advisor: Advisor) -> None:
    advisor.answers(questions(8), T4)
    assert [worker.answered for worker in Worker.made] == [8, 0]


def test_what_is_known_starts_nothing(advisor: Advisor) -> None:
    answers = advisor.answers(questions(9), T4)
    with Advisor(advisor.choice) as another:
        assert another.answers(questions(9), T4) == answers
    assert len(Worker.made) == 2


def test_interrupted_asks_nothing_more(advisor: Advisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ctrl-C, while the main thread waits for two that wait for their answers."""
    both = Barrier(3)

    def wait_for_the_end(worker: Worker) -> None:
        both.wait(PATIENCE_S)
        assert worker.closed.wait(PATIENCE_S)

    def interrupted(_: Future[None]) -> None:
        both.wait(PATIENCE_S)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Worker, "meanwhile", wait_for_the_end)
    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        advisor.answers(questions(20), T4)
    assert len(Worker.asked) == 2


def test_a_fault_in_one_process_ends_both(advisor: Advisor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Worker) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Worker, "meanwhile", fail)
    with pytest.raises(ZeroDivisionError):
        advisor.answers(questions(20), T4)
    assert len(Worker.asked) <= 2


@pytest.mark.parametrize(("device", "started"), [(T4, [True, True]), (V100, [])], ids=str)
def test_processes_start_ahead_for_who_can_be_asked_about(
    advisor: Advisor, device: DeviceProperties, started: list[bool]
) -> None:
    advisor.start(device)
    assert [worker.started for worker in Worker.made] == started


def test_processes_start_ahead_where_a_trace_has_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Advisor, "start", lambda _, device: told.append(device.name))
    target = Target(gpu="Tesla V100 PCIe 16GB")  # about which nobody is asked
    first = api.memory("lenet5", Setup(batch=3), target)
    assert len(told) == 1
    assert api.memory("lenet5", Setup(batch=3), target) == first
    assert len(told) == 1
