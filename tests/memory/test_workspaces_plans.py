"""Which plans torch tries, by hand from Conv_v8.cpp; devices; and the worker's failures, without cuDNN."""

import json
import sys
from itertools import count
from pathlib import Path

import pytest

from vggprof.errors import DeviceError
from vggprof.memory.workspaces import process
from vggprof.memory.workspaces.convolution import ConvProblem, CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.cudnn_calls import cudnn_query
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.plans import Plan, bound, in_torch_order
from vggprof.memory.workspaces.process import Failure, Worker
from vggprof.memory.workspaces.query import CudnnQuery


def _query(which: Pass = Pass.FORWARD, dtype: str = "float32", axes: int = 2) -> CudnnQuery:
    space = (8,) * axes
    x, w, y = (
        Strided.contiguous(shape) for shape in ((2, 16, *space), (32, 16, *(3,) * axes), (2, 32, *space))
    )
    ones = (1,) * axes
    return cudnn_query(ConvProblem(which, dtype, x, w, y, ones, ones, ones))


def _plan(engine: int, *notes: str, size: int = 0, fallback: bool = False) -> Plan:
    return Plan(f"eng{engine}_k2=1", size, notes, fallback)


HEURISTIC = _plan(46, "TENSOR_CORE", size=100)
DOWN = _plan(3, "DOWN_CONVERT_INPUTS")
RANDOM = _plan(25, "NONDETERMINISTIC")
SAFE = _plan(1, fallback=True)
ALL = (HEURISTIC, DOWN, RANDOM, SAFE)


@pytest.mark.parametrize(
    ("dtype", "settings", "expected"),
    [
        ("float32", CudnnSettings(), (HEURISTIC, RANDOM, SAFE)),
        ("float32", CudnnSettings(allow_tf32=False), (RANDOM, SAFE)),
        ("float32", CudnnSettings(deterministic=True), (HEURISTIC, SAFE)),
        ("float16", CudnnSettings(allow_tf32=False, deterministic=True), (HEURISTIC, SAFE)),
    ],
)
def test_settings_rule_plans_out(dtype: str, settings: CudnnSettings, expected: tuple[Plan, ...]) -> None:
    query = _query(dtype=dtype)
    assert in_torch_order(ALL, query, settings, capability=(8, 6), cudnn_version=92600) == expected


# The rules in plan_errata_exception; a version is from "start" on and before "end".
@pytest.mark.parametrize(
    ("which", "engine", "capability", "version", "axes", "tried"),
    [
        (Pass.FORWARD, 58, (12, 0), 92600, 2, False),
        (Pass.FORWARD, 58, (12, 1), 92600, 2, True),
        (Pass.FORWARD, 58, (12, 0), 92000, 2, True),
        (Pass.DGRAD, 63, (12, 0), 92400, 2, False),
        (Pass.WGRAD, 63, (12, 0), 92400, 2, False),
        (Pass.FORWARD, 63, (12, 0), 92400, 2, True),
        (Pass.FORWARD, 5, (8, 6), 92301, 2, False),
        (Pass.FORWARD, 5, (8, 6), 92400, 2, True),
        (Pass.DGRAD, 23, (9, 0), 92600, 3, False),
        (Pass.DGRAD, 23, (9, 0), 92600, 2, True),
        (Pass.FORWARD, 23, (9, 0), 91499, 3, False),
        (Pass.FORWARD, 23, (9, 0), 91500, 3, True),
    ],
)
def test_engines_that_torch_knows_to_be_broken(
    which: Pass, engine: int, capability: tuple[int, int], version: int, axes: int, *, tried: bool
) -> None:
    plans = (_plan(engine), SAFE)
    order = in_torch_order(
        plans, _query(which, axes=axes), CudnnSettings(), capability=capability, cudnn_version=version
    )
    assert order == (plans if tried else (SAFE,))


def test_without_an_answer_the_bound_is_all_tensors_in_float32() -> None:
    query = _query(dtype="float16")
    elements = 2 * 16 * 64 + 32 * 16 * 9 + 2 * 32 * 64
    assert bound(query) == 4 * elements + 64 * 2**20


def test_queries_have_one_key_each() -> None:
    queries = [
        _query(which, dtype, axes) for which in Pass for dtype in ("float32", "float16") for axes in (2, 3)
    ]
    assert len({query.key() for query in queries}) == len(queries)


@pytest.mark.parametrize(
    ("capability", "sms", "what"), [((13, 0), 100, "13.0 is not known"), ((8, 6), 0, "sm_count is 0")]
)
def test_devices_that_cannot_be(capability: tuple[int, int], sms: int, what: str) -> None:
    with pytest.raises(DeviceError, match=what):
        DeviceProperties("GPU", capability, sms, 1_000_000, 1_000_000, 2**20, 2**30)


def test_devices_are_described_by_capability_and_product() -> None:
    device = DeviceProperties("Tesla T4", (7, 5), 40, 1_590_000, 5_001_000, 4_194_304, 15_828_320_256)
    told = json.loads(device.cudnn_json())
    assert (told["deviceVer"], told["multiProcessorCount"], told["maxThreadsPerSM"]) == (750, 40, 1024)
    assert device.askable
    assert not DeviceProperties("Tesla V100", (7, 0), 80, 1, 1, 1, 1).askable


# Workers that misbehave as a library can: each is a script in place of the real one.
_ANSWER = '{"id": 0, "plans": [["eng1_k2=3", 512, ["TENSOR_CORE"], false]]}'
_ERROR = json.dumps({"id": 0, "error": "no engine\nand more"})
# The engine of its answer is the id of the request.
_ECHO = """
import json
print('{}', flush=True)
while True:
    number = json.loads(input())["id"]
    print(json.dumps({"id": number, "plans": [[f"eng{number}", 0, [], False]]}), flush=True)
"""
_WORKERS = {
    "dies at once": "import sys; print('no such symbol', file=sys.stderr); sys.exit(3)",
    "dies when asked": "import os; print('{}', flush=True); input(); os.abort()",
    "hangs": "print('{}', flush=True)\nwhile True: input()",
    "refuses": f"print('{{}}', flush=True); input(); print({_ERROR!r}, flush=True)",
    "answers": f"print('{{}}', flush=True)\nwhile input():\n    print('{_ANSWER}', flush=True)",
    "tells ids": _ECHO,
    "dies when started ahead": _ECHO.replace("    print", "    if number: raise SystemExit(3)\n    print"),
    "hangs when started ahead": _ECHO.replace("    print", "    while number: input()\n    print"),
}


@pytest.fixture
def worker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    script = tmp_path / "worker.py"
    script.write_text(_WORKERS[request.param])
    monkeypatch.setattr(process, "command", lambda _: [sys.executable, str(script)])
    if request.param.startswith("hangs"):
        limits_s = iter([0.2])  # for the answer that never comes; others are waited for on a busy machine too
        exchange = process._Process.exchange
        monkeypatch.setattr(
            process._Process, "exchange", lambda self, ask, limit: exchange(self, ask, next(limits_s, limit))
        )
    made = Worker(CudnnLibrary("9.26.0.51", tmp_path / "libcudnn.so.9", "given", 13))
    request.addfinalizer(made.close)
    return made


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        ("dies at once", "cuDNN 9.26.0.51 ended with 3: no such symbol"),
        ("dies when asked", "cuDNN 9.26.0.51 ended with -6"),
        ("hangs", "cuDNN 9.26.0.51 gave no answer within 0.2 s"),
        ("refuses", "cuDNN 9.26.0.51: no engine"),
    ],
    indirect=["worker"],
)
def test_a_library_that_fails_is_a_failure_with_a_reason(worker: Worker, reason: str) -> None:
    assert worker.ask("{}", _query()) == Failure(reason)


@pytest.mark.parametrize("worker", ["dies at once"], indirect=True)
def test_a_library_that_keeps_dying_is_left_alone(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = count()
    started = process._Process
    monkeypatch.setattr(process, "_Process", lambda arguments: (next(starts), started(arguments))[1])
    answers = [worker.ask("{}", _query()) for _ in range(process.MAX_DEATHS + 2)]
    assert next(starts) == process.MAX_DEATHS
    assert answers[-1] == Failure("cuDNN 9.26.0.51 died 5 times and is not asked again")


@pytest.mark.parametrize("worker", ["answers"], indirect=True)
def test_one_process_answers_many_questions(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("eng1_k2=3", 512, ("TENSOR_CORE",), fallback=False)
    assert worker.ask("{}", _query()) == (plan,)
    monkeypatch.setattr(process, "_Process", lambda _: pytest.fail("started again"))
    assert worker.ask("{}", _query()) == (plan,)


@pytest.mark.parametrize("worker", ["tells ids"], indirect=True)
def test_what_a_process_was_started_with_is_nobodys_answer(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.start("{}", _query())
    monkeypatch.setattr(process, "_Process", lambda _: pytest.fail("started again"))
    worker.start("{}", _query())
    assert worker.ask("{}", _query()) == (Plan("eng0", 0, (), fallback=False),)
    assert worker.ask("{}", _query()) == (Plan("eng0", 0, (), fallback=False),)


@pytest.mark.parametrize("worker", ["dies when started ahead", "hangs when started ahead"], indirect=True)
def test_a_process_that_fails_ahead_of_the_first_question_fails_none(worker: Worker) -> None:
    worker.start("{}", _query())
    assert worker.ask("{}", _query()) == (Plan("eng0", 0, (), fallback=False),)


@pytest.mark.parametrize(
    ("worker", "reason"),
    [("dies at once", "cuDNN 9.26.0.51 ended with 3: no such symbol")],
    indirect=["worker"],
)
def test_a_process_started_ahead_that_cannot_run_is_a_failure(worker: Worker, reason: str) -> None:
    worker.start("{}", _query())
    assert worker.ask("{}", _query()) == Failure(reason)


@pytest.mark.parametrize("worker", ["tells ids"], indirect=True)
def test_what_was_started_ahead_and_never_asked_is_ended(worker: Worker) -> None:
    worker.start("{}", _query())
    assert worker._process is not None
    started = worker._process._process
    worker.close()
    assert started.returncode is not None
