"""Answers of the cuDNN that is installed here, against its C API and what is known of its versions."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from vggprof.memory.workspaces import store
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.advisor import Advisor
from vggprof.memory.workspaces.convolution import ConvProblem, CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.cudnn_calls import cudnn_query
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.formats import MemoryFormat, empty
from vggprof.memory.workspaces.launch import environment, find_frontend
from vggprof.memory.workspaces.libraries import find_libraries
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Plan, bound
from vggprof.memory.workspaces.process import Failure, Worker
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.targets import Choice, choose

MIB = 2**20
H200 = DeviceProperties("NVIDIA H200", (9, 0), 132, 1_980_000, 3_750_000, 52_428_800, 151_397_597_184)
RTX_4090 = DeviceProperties(
    "NVIDIA GeForce RTX 4090", (8, 9), 128, 2_520_000, 10_501_000, 75_497_472, 25_757_220_864
)
RTX_3060 = DeviceProperties(
    "NVIDIA GeForce RTX 3060", (8, 6), 28, 1_777_000, 7_501_000, 2_359_296, 12_622_168_064
)
T4 = DeviceProperties("Tesla T4", (7, 5), 40, 1_590_000, 5_001_000, 4_194_304, 15_828_320_256)
RTX_5090 = DeviceProperties(
    "NVIDIA GeForce RTX 5090", (12, 0), 170, 2_407_000, 14_001_000, 100_663_296, 34_190_917_632
)
V100 = DeviceProperties("Tesla V100-SXM2-16GB", (7, 0), 80, 1_530_000, 877_000, 6_291_456, 16_935_682_048)
DEVICES = (H200, RTX_4090, RTX_3060, T4, RTX_5090)

# Inputs of VGG-16's convolutions: channels in, channels out, height.
VGG16 = (
    (3, 64, 224),
    (64, 64, 224),
    (64, 128, 112),
    (128, 128, 112),
    (128, 256, 56),
    (256, 256, 56),
    (256, 512, 28),
    (512, 512, 28),
    (512, 512, 14),
)

LIBRARIES = tuple(library for library in find_libraries() if library.askable)
pytestmark = [
    pytest.mark.skipif(not LIBRARIES, reason="no cuDNN 9.8 or later is installed here"),
    pytest.mark.skipif(find_frontend() is None, reason="nvidia-cudnn-frontend is not installed here"),
]


def vgg_problem(
    layer: tuple[int, int, int],
    which: Pass,
    *,
    batch: int = 32,
    dtype: str = "float32",
    order: MemoryFormat = MemoryFormat.CONTIGUOUS,
) -> ConvProblem:
    channels, features, size = layer
    shapes = (batch, channels, size, size), (features, channels, 3, 3), (batch, features, size, size)
    x, w, y = (empty(shape, order) for shape in shapes)
    return ConvProblem(which, dtype, x, w, y, (1, 1), (1, 1), (1, 1))


def asked(problem: ConvProblem, settings: CudnnSettings | None = None) -> Workspace:
    return Workspace(cudnn_query(problem), settings or problem.settings)


@pytest.fixture(scope="module")
def advisor() -> Iterator[Advisor]:
    with Advisor(Choice(LIBRARIES[0], LIBRARIES[0].version)) as made:
        yield made


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(LIBRARIES[0]) as made:
        yield made


# VGG-16's second convolution, batch 32, float32, in MiB: forward, data gradient, weight gradient. Queried
# with cuDNN 9.26.0.51 by another program than this one (nvidia-cudnn-frontend 1.28, its Python graph API).
@pytest.mark.parametrize(
    ("device", "forward", "dgrad", "wgrad"),
    [(H200, 392, 784, 784), (RTX_4090, 392, 784, 786), (RTX_3060, 392, 0.4, 785), (T4, 0.4, 0.4, 0)],
    ids=lambda value: value.name if isinstance(value, DeviceProperties) else None,
)
def test_vgg16s_second_convolution(
    advisor: Advisor, device: DeviceProperties, forward: float, dgrad: float, wgrad: float
) -> None:
    if not LIBRARIES[0].version.startswith("9.26"):
        pytest.skip("known for cuDNN 9.26")
    asks = [asked(vgg_problem((64, 64, 224), which)) for which in Pass]
    answers = advisor.answers(asks, device)
    found = [answer.nbytes / MIB for answer in answers.values() if isinstance(answer, Answer)]
    assert [round(size, 1) if size < 1 else round(size) for size in found] == [
        forward,
        dgrad,
        pytest.approx(wgrad),
    ]


def _by_c_api(device: DeviceProperties, queries: list[CudnnQuery]) -> list[list[tuple[int, int, list[str]]]]:
    """The same questions to the C API, in a process of its own."""
    requests = "".join(
        json.dumps({"device": device.cudnn_json(), "query": q.message()}) + "\n" for q in queries
    )
    script = Path(__file__).with_name("cudnn_backend.py")
    command = [sys.executable, "-I", "-S", str(script), str(LIBRARIES[0].path)]
    done = subprocess.run(
        command, input=requests, capture_output=True, text=True, check=True, env=environment()
    )
    return [json.loads(line)["plans"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_answers_are_those_of_the_c_api(worker: Worker, device: DeviceProperties) -> None:
    layers = ((3, 64, 224), (64, 64, 56), (512, 512, 14))
    problems = [vgg_problem(layer, which, batch=8) for layer in layers for which in Pass]
    last = MemoryFormat.CHANNELS_LAST
    problems += [vgg_problem((64, 64, 56), which, batch=8, dtype="float16", order=last) for which in Pass]
    if device.capability >= (8, 0):
        problems += [vgg_problem((64, 64, 56), which, batch=8, dtype="bfloat16") for which in Pass]
    problems += [vgg_problem((64, 64, 56), Pass.FORWARD, batch=8, dtype="float64")]
    queries = [cudnn_query(problem) for problem in problems]
    for query, expected in zip(queries, _by_c_api(device, queries), strict=True):
        plans = worker.ask(device.cudnn_json(), query)
        assert not isinstance(plans, Failure)
        assert expected
        told = [(plan.engine, plan.workspace_bytes, _numerical(plan.notes)) for plan in plans]
        assert told == [(engine, size, _numerical(notes)) for engine, size, notes in expected]


def _numerical(notes: Iterable[str]) -> list[str]:
    """Notes of the kind that the C API was asked for, without one that older frontends do not know."""
    other = ("RUNTIME_COMPILATION", "REQUIRES_", "SUPPORTS_", "CUBLASLT_DEPENDENCY", "STRICT_NAN_PROP")
    return [note for note in notes if not note.startswith(other)]


def test_settings_filter_the_same_plans(advisor: Advisor) -> None:
    problem = vgg_problem((64, 64, 224), Pass.WGRAD)
    plain, exact, fixed = (
        asked(problem, CudnnSettings(allow_tf32=tf32, deterministic=deterministic))
        for tf32, deterministic in ((True, False), (False, False), (True, True))
    )
    answers = advisor.answers([plain, exact, fixed], RTX_3060)
    plans = {ask: answer.plans for ask, answer in answers.items() if isinstance(answer, Answer)}
    assert "TENSOR_CORE" in plans[plain][0].notes
    assert not any("TENSOR_CORE" in plan.notes for plan in plans[exact])
    assert not any("NONDETERMINISTIC" in plan.notes for plan in plans[fixed])
    assert any("NONDETERMINISTIC" in plan.notes for plan in plans[plain])
    assert set(plans[exact]) | set(plans[fixed]) <= set(plans[plain])


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_every_list_ends_where_memory_cannot_fail(advisor: Advisor, device: DeviceProperties) -> None:
    """Some plan needs no workspace, so a convolution that is short of memory still runs."""
    asks = [asked(vgg_problem(layer, which)) for layer in VGG16 for which in Pass]
    for answer in advisor.answers(asks, device).values():
        assert isinstance(answer, Answer)
        assert any(plan.workspace_bytes == 0 for plan in answer.plans)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_chosen_workspaces_keep_to_the_bound(advisor: Advisor, device: DeviceProperties) -> None:
    orders = ((MemoryFormat.CONTIGUOUS, "float32"), (MemoryFormat.CHANNELS_LAST, "float16"))
    asks = [
        asked(vgg_problem(layer, which, dtype=dtype, order=order))
        for layer in VGG16
        for which in Pass
        for order, dtype in orders
    ]
    for ask, answer in advisor.answers(asks, device).items():
        assert isinstance(answer, Answer)
        assert answer.nbytes <= bound(ask.query)


def test_old_devices_are_not_guessed(advisor: Advisor) -> None:
    ask = asked(vgg_problem((64, 64, 224), Pass.FORWARD))
    answer = advisor.answers([ask], V100)[ask]
    assert answer == NoAnswer(
        "cuDNN answers for compute capability 7.5 and newer; Tesla V100-SXM2-16GB has 7.0",
        0,
        bound(ask.query),
    )


def test_what_cudnn_cannot_do_is_a_failure_of_that_query_alone(worker: Worker) -> None:
    good = cudnn_query(vgg_problem((64, 64, 56), Pass.FORWARD, batch=1))
    shapes = ((1, 7, 5, 5), (1, 3, 9, 9), (1, 1, 1, 1))  # channels that do not divide
    x, w, y = (Strided.contiguous(shape) for shape in shapes)
    bad = CudnnQuery(Pass.FORWARD, "float32", x, w, y, (0, 0), (1, 1), (1, 1), "A")
    failure = worker.ask(T4.cudnn_json(), bad)
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("cuDNN")
    assert not isinstance(worker.ask(T4.cudnn_json(), good), Failure)


def test_a_second_question_is_answered_from_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VGGPROF_CACHE_DIR", str(tmp_path))
    ask = asked(vgg_problem((64, 64, 56), Pass.DGRAD, batch=3))
    choice = Choice(LIBRARIES[0], LIBRARIES[0].version)
    with Advisor(choice) as first:
        answer = first.answers([ask], T4)
    monkeypatch.setattr(Worker, "ask", lambda *_: pytest.fail("asked again"))
    with Advisor(choice) as second:
        assert second.answers([ask], T4) == answer
    assert (tmp_path / store.FILE).is_file()


@pytest.mark.skipif(
    len(LIBRARIES) < 2, reason=f"needs two versions of cuDNN; {os.environ.get('VGGPROF_CUDNN_PATH')}"
)
def test_another_version_gives_a_range() -> None:
    older = LIBRARIES[-1].numbers
    missing = f"{older[0]}.{older[1]}.99"
    choice = choose(LIBRARIES, cudnn=missing)
    assert choice.library == LIBRARIES[-1]
    asks = [asked(vgg_problem(layer, which)) for layer in VGG16 for which in Pass]
    with Advisor(choice) as advisor:
        answers = [a for a in advisor.answers(asks, RTX_4090).values() if isinstance(a, Answer)]
    assert len(answers) == len(asks)
    assert all(answer.low_bytes <= answer.nbytes <= answer.high_bytes for answer in answers)
    assert any(answer.low_bytes < answer.high_bytes for answer in answers)


def test_plans_tell_engine_and_knobs() -> None:
    plan = Plan("eng38_k2=4_k12=-1_k13=0", 0, (), fallback=False)
    assert plan.engine == 38
    assert plan.knobs == {2: 4, 12: -1, 13: 0}
    assert (Plan("eng1", 0, (), fallback=True).engine, Plan("eng1", 0, (), fallback=True).knobs) == (1, {})
