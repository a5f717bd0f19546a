"""What a calibration says of a training, and which one is meant; figures made by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.devices import Range
from vggprof.devices.calibrations import (
    Calibration,
    MeasuredRun,
    Method,
    Run,
    Stage,
    StageBytes,
    Wanted,
    calibrations_of,
    choose_calibration,
)

TRAINING = MeasuredRun(
    Run.TRAIN_FP32,
    (
        StageBytes(Stage.CONTEXT, 280, 280),
        StageBytes(Stage.CONV_FORWARD, 120, 160),
        StageBytes(Stage.LINEAR, 40, 50),
        StageBytes(Stage.POOL_LOSS, 10, 16),
        StageBytes(Stage.BATCH_NORM, 8, 10),
    ),
)
ONE = Calibration(
    device="GeForce RTX 3060 12GB",
    name="NVIDIA GeForce RTX 3060",
    uuid="GPU-1",
    driver="580.95.05",
    torch="2.15.0+cu130",
    cuda="13.0",
    cudnn="9.26.0",
    loading="lazy",
    usable_bytes=11910 * 2**20,
    method=Method.PROCESS,
    alone=True,
    measured="2026-01-02T03:04:05Z",
    vggprof="0.1.0",
    runs=(TRAINING,),
)
NAMED = Wanted("GeForce RTX 3060 12GB", "2.15.0")


def stages(*names: Stage) -> frozenset[Stage]:
    return frozenset({Stage.CONTEXT, Stage.POOL_LOSS, *names})


def test_needed_stages_add_up() -> None:
    # 280 + 120 + 40 + 10 = 450 by one call each, 280 + 160 + 50 + 16 = 506 by a variety; halfway 478. Batch
    # norm ran after all of them and has loaded nothing of theirs.
    assert TRAINING.context(stages(Stage.CONV_FORWARD, Stage.LINEAR)) == Range(450, 478, 506)


def test_a_stage_that_is_not_needed_may_have_loaded_what_a_later_one_needs() -> None:
    # Without convolutions: 280 + 40 + 10 = 330 to 280 + 50 + 16 = 346, and up to 160 more that the
    # convolutions before have loaded and matrix products need as well. Likely is (330 + 346) / 2.
    assert TRAINING.context(stages(Stage.LINEAR)) == Range(330, 338, 346 + 160)


def test_a_stage_that_was_not_measured_gives_no_answer() -> None:
    assert TRAINING.context(stages(Stage.OPTIMIZER)) is None
    assert ONE.context(Run.INFER_FP32, stages()) is None
    assert ONE.context(Run.TRAIN_FP32, stages()) is not None


@given(
    st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 2**30)), min_size=9, max_size=9),
    st.frozensets(st.sampled_from(Stage)),
    st.sampled_from(Stage),
)
def test_more_stages_never_take_less(
    sizes: list[tuple[int, int]], needed: frozenset[Stage], more: Stage
) -> None:
    measured = tuple(
        StageBytes(stage, least, least + extra) for stage, (least, extra) in zip(Stage, sizes, strict=True)
    )
    run = MeasuredRun(Run.TRAIN_FP32, measured)
    fewer, all_ = run.context(needed), run.context(needed | {more})
    assert fewer is not None
    assert all_ is not None
    assert fewer.low <= all_.low
    assert fewer.likely <= all_.likely
    assert fewer.high <= all_.high
    assert all_.high <= sum(one.most_bytes for one in measured)


def test_values_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="not a range of bytes: 2, 1"):
        StageBytes(Stage.LINEAR, 2, 1)
    with pytest.raises(ValueError, match="not a range of bytes: -1, 1"):
        StageBytes(Stage.LINEAR, -1, 1)
    with pytest.raises(ValueError, match="a stage is there twice"):
        MeasuredRun(Run.TRAIN_FP32, (StageBytes(Stage.LINEAR, 1, 1), StageBytes(Stage.LINEAR, 2, 2)))


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (NAMED, True),
        (replace(NAMED, torch="2.15"), True),
        (replace(NAMED, torch="2.15.0+cu130"), True),
        (replace(NAMED, torch="2.1"), False),  # not 2.15
        (replace(NAMED, torch="2.15.0+cu126"), False),
        (replace(NAMED, device="GeForce RTX 3060 8GB"), False),
        (replace(NAMED, driver="580.95.05"), True),
        (replace(NAMED, driver="570.1"), False),
        (replace(NAMED, cudnn="9.26"), True),
        (replace(NAMED, cudnn="9.26.0.51"), True),
        (replace(NAMED, cudnn="9.2"), False),
        (replace(NAMED, loading="eager"), False),
    ],
)
def test_it_is_used_for_that_gpu_with_that_software(wanted: Wanted, fits: bool) -> None:
    assert wanted.fits(ONE) is fits


def test_this_very_card_comes_before_a_newer_one_of_its_model() -> None:
    other = replace(ONE, uuid="GPU-2", measured="2026-05-05T00:00:00Z")
    assert choose_calibration([ONE, other], NAMED) == (other, None)
    assert choose_calibration([ONE, other], replace(NAMED, uuid="GPU-1")) == (ONE, None)


def test_one_of_other_software_is_named_not_used() -> None:
    chosen, why = choose_calibration([ONE], replace(NAMED, torch="2.13.0"))
    assert chosen is None
    assert why is not None
    assert "torch 2.15.0+cu130, CUDA 13.0, cuDNN 9.26.0, driver 580.95.05" in why
    assert "vggprof calibrate" in why
    assert choose_calibration([ONE], replace(NAMED, device="A100")) == (None, None)


def test_those_of_a_gpu_by_its_words() -> None:
    other = replace(ONE, device="Tesla T4", name="Tesla T4", uuid=None)
    assert calibrations_of([ONE, other], "") == (ONE, other)
    assert calibrations_of([ONE, other], "rtx 3060") == (ONE,)
    assert calibrations_of([ONE, other], "gpu-1") == (ONE,)
    assert calibrations_of([ONE, other], "t4 8GB") == ()


def test_figures_of_the_whole_gpu_come_with_a_caution() -> None:
    assert replace(ONE, alone=False).caution is None  # NVML tells the process from the others
    assert replace(ONE, method=Method.GPU).caution is None
    seen = replace(ONE, method=Method.GPU, alone=False).caution
    assert seen == "figures are of the whole GPU, and others were active on it"
    untold = replace(ONE, method=Method.GPU, alone=None).caution
    assert untold is not None
    assert "does not say" in untold
