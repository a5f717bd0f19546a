"""Sweeps over batches, with a measurement that is made up: plain values."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
from measurement_made import on_cpu
from profiled import request, small

from vggprof.errors import UsageError
from vggprof.measurement import Conditions, Execution, Measurement, Protocol, Status
from vggprof.profiler import plan
from vggprof.profiler.plan import Plan, Request
from vggprof.profiler.sweep import of_batches, to_the_largest
from vggprof.trace import Amp, Mode, Setup


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Request:
    return request(small(tmp_path_factory.mktemp("spec")), plan=Plan(steps=50))


def ending(status_of: Callable[[int], Status], tried: list[Request]) -> Callable[[Request], Measurement]:
    def measure(request: Request) -> Measurement:
        tried.append(request)
        batch = request.conditions.setup.batch
        return replace(on_cpu(batch), status=status_of(batch))

    return measure


def test_every_batch_is_measured_whatever_became_of_the_others(asked: Request) -> None:
    ends = {1: Status.OK, 2: Status.CRASHED, 4: Status.OOM, 8: Status.TIMEOUT, 16: Status.OK}
    kept: list[Measurement] = []
    swept = of_batches(asked, tuple(ends), ending(ends.__getitem__, []), kept.append)
    assert [(each.conditions.setup.batch, each.status) for each in swept.measurements] == list(ends.items())
    assert [each.status for each in swept.failures] == [Status.CRASHED, Status.TIMEOUT]
    assert kept == list(swept.measurements)
    assert not swept.interrupted


def test_an_interrupt_leaves_what_is_done(asked: Request) -> None:
    def status_of(batch: int) -> Status:
        if batch == 3:
            raise KeyboardInterrupt
        return Status.OK

    swept = of_batches(asked, (1, 2, 3, 4), ending(status_of, []), lambda _done: None)
    assert [each.conditions.setup.batch for each in swept.measurements] == [1, 2]
    assert swept.interrupted
    with pytest.raises(KeyboardInterrupt):
        of_batches(asked, (3,), ending(status_of, []), lambda _done: None)


@pytest.mark.parametrize("largest", [1, 5, 32, 100])
def test_the_climb_ends_at_the_largest_that_fits(largest: int, asked: Request) -> None:
    tried: list[Request] = []
    kept: list[Measurement] = []
    fits = ending(lambda batch: Status.OK if batch <= largest else Status.OOM, tried)
    swept = to_the_largest(asked, fits, kept.append)
    batches = {each.conditions.setup.batch: each.status for each in swept.measurements}
    assert batches[largest] is Status.OK
    assert batches[largest + 1] is Status.OOM
    assert list(batches) == sorted(batches)
    # Only the last one, at the largest, is measured as planned and kept.
    assert [request.plan.steps for request in tried] == [3] * (len(tried) - 1) + [50]
    assert tried[-1].conditions.setup.batch == largest
    assert [each.conditions.setup.batch for each in kept] == [largest]
    assert not swept.failures


def test_nothing_fits(asked: Request) -> None:
    swept = to_the_largest(asked, ending(lambda _batch: Status.OOM, []), lambda _done: None)
    assert [each.conditions.setup.batch for each in swept.measurements] == [1, 2, 4, 8, 16, 32]
    assert not swept.failures


def test_the_climb_ends_at_a_crash(asked: Request) -> None:
    swept = to_the_largest(
        asked, ending(lambda batch: Status.CRASHED if batch == 64 else Status.OK, []), lambda _done: None
    )
    assert [each.conditions.setup.batch for each in swept.measurements] == [32, 64]
    assert [each.conditions.setup.batch for each in swept.failures] == [64]


def test_a_request_arrives_as_it_was_sent(tmp_path: Path) -> None:
    setup = Setup(batch=3, amp=Amp.BF16, freeze="conv1.*")
    sent = request(
        small(tmp_path), setup, Plan(steps=7, trace_file="t.json", kernels=True), memory_limit_bytes=2**30
    )
    assert plan.from_json(sent.to_json()) == sent
    assert "\n" not in sent.to_json()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "tpu"}, "'tpu' is none of auto, cuda, cpu"),
        ({"device": "cpu", "execution": Execution.GRAPH}, "graph is for CUDA"),
        ({"memory_limit_bytes": 0}, "nothing runs in 0 bytes of memory"),
        ({"device": "cuda", "execution": Execution.GRAPH, "setup": Setup(amp=Amp.FP16)}, "GradScaler"),
    ],
)
def test_what_no_device_can_do_is_refused(change: dict[str, object], said: str, asked: Request) -> None:
    conditions: Conditions = replace(asked.conditions, **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=said):
        replace(asked, conditions=conditions)


def test_the_seed_protocol_is_of_training_in_eager_mode(asked: Request) -> None:
    seed = replace(asked, conditions=replace(asked.conditions, protocol=Protocol.SEED))
    with pytest.raises(UsageError, match="--protocol seed"):
        replace(seed, conditions=replace(seed.conditions, setup=Setup(mode=Mode.INFER)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"warmup_s": -1},
        {"warmup_s": nan},
        {"target_spread": 0},
        {"target_spread": nan},
        {"limit_s": 0},
        {"limit_s": inf},
        {"limit_s": nan},
        {"seed": 2**64},
        {"seed": -(2**63) - 1},
        {"layers": False, "kernels": True},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Plan(**wrong)  # type: ignore[arg-type]
