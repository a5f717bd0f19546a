"""Rows of a calibration's process, by hand: whose figures are taken, and what each stage added."""

from typing import Any

import pytest

from vggprof.devices.calibrations import Method, Run, Stage, StageBytes
from vggprof.profiler.readings import measured_run
from vggprof.units import MIB

ME = 77
OTHERS = [[9, 500 * MIB]]
BEFORE = {"stage": "before", "gpu": 600 * MIB, "processes": OTHERS, "me": ME}


def row(stage: str, held: int, *, reserved: int = 2, pid: int = ME, **other: Any) -> dict[str, Any]:  # noqa: ANN401
    """What is read when the process holds *held* MiB, *reserved* of them PyTorch's."""
    said = {
        "stage": stage,
        "gpu": (600 + held) * MIB,
        "processes": [*OTHERS, [pid, held * MIB]],
        "me": ME,
        "runtime_used": (700 + held) * MIB,
        "reserved": reserved * MIB,
    }
    return said | other


def stage(name: Stage, least: int, most: int) -> StageBytes:
    return StageBytes(name, least * MIB, most * MIB)


# Held 282, 424, 466, 510 MiB, of which PyTorch's 2, 24, 26, 30: outside 280, 400, 440, 480.
ROWS = [
    row("context", 282),
    row("conv_forward", 424, reserved=24),
    row("conv_forward_more", 466, reserved=26),
    row("linear", 510, reserved=30),
]
STAGES = (
    stage(Stage.CONTEXT, 280, 280),
    stage(Stage.CONV_FORWARD, 120, 160),
    stage(Stage.LINEAR, 40, 40),
)


def test_the_process_by_its_pid() -> None:
    run, method, alone = measured_run(Run.TRAIN_FP32, [BEFORE, *ROWS])
    assert run.stages == STAGES
    assert method is Method.PROCESS
    assert alone is False


def test_in_a_container_it_is_the_one_that_was_not_there() -> None:
    rows = [{**one, "processes": [*OTHERS, [4242, one["processes"][1][1]]]} for one in ROWS]
    run, method, _ = measured_run(Run.TRAIN_FP32, [BEFORE, *rows])
    assert (run.stages, method) == (STAGES, Method.PROCESS)


@pytest.mark.parametrize("hidden", [None, [], [[ME, None]], [[1, 5], [2, 5]]])
def test_else_by_what_came_to_be_in_use_on_the_gpu(hidden: Any) -> None:  # noqa: ANN401
    rows = [{**one, "processes": hidden} for one in ROWS]
    before = {**BEFORE, "processes": None if hidden is None else []}
    run, method, alone = measured_run(Run.TRAIN_FP32, [before, *rows])
    assert (run.stages, method) == (STAGES, Method.GPU)
    # Nothing listed, not even this process: then who is on the GPU is not known.
    assert alone is {None: None, 0: None, 1: True, 2: False}[hidden if hidden is None else len(hidden)]


def test_without_nvml_by_all_that_is_in_use() -> None:
    # cudaMemGetInfo has 700 MiB more in use: they go into the context, all else is a difference.
    rows = [{**one, "processes": None, "gpu": None} for one in ROWS]
    run, method, alone = measured_run(Run.INFER_FP32, [{**BEFORE, "gpu": None, "processes": None}, *rows])
    assert run.stages == (stage(Stage.CONTEXT, 980, 980), *STAGES[1:])
    assert (method, alone) == (Method.RUNTIME, None)


def test_alone_on_the_gpu() -> None:
    rows = [{**one, "processes": one["processes"][1:]} for one in ROWS]
    assert measured_run(Run.TRAIN_FP32, [{**BEFORE, "processes": []}, *rows])[2] is True


def test_what_shrinks_adds_nothing_and_is_not_added_twice() -> None:
    # Outside: 280, then 270 (somebody else let go), then 300: 20 more than ever before.
    rows = [row("context", 282), row("linear", 272), row("batch_norm", 302)]
    run, _, _ = measured_run(Run.TRAIN_FP32, [BEFORE, *rows])
    assert run.stages == (
        stage(Stage.CONTEXT, 280, 280),
        stage(Stage.LINEAR, 0, 0),
        stage(Stage.BATCH_NORM, 20, 20),
    )


def test_rows_of_a_recorder() -> None:
    # The recorder's stages: one call each, half precision before the optimizer, which it calls adam.
    rows = [row("context", 282), row("conv_fp16", 302), row("adam", 306)]
    run, _, _ = measured_run(Run.TRAIN_FP32, [BEFORE, *rows])
    assert run.stages == (stage(Stage.CONTEXT, 280, 280), stage(Stage.OPTIMIZER, 4, 4))


def test_no_stage_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="no stage was measured"):
        measured_run(Run.TRAIN_FP32, [BEFORE])
