"""Calibrations as text, from values made by hand; tests/golden holds the whole of each form."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest

from vggprof import views
from vggprof.devices.calibration_listing import CalibrationListing, Done, TimedStep
from vggprof.devices.calibrations import Calibration, MeasuredRun, Method, Run, Stage, StageBytes
from vggprof.forms import Form
from vggprof.units import MIB

SUFFIX = {Form.TABLE: "txt", Form.MARKDOWN: "md", Form.CSV: "csv", Form.JSON: "json"}
FOLDER: Any = PurePosixPath("/home/me/.local/share/vggprof/calibrations-1")
ONE = Calibration(
    device="GeForce RTX 3060 12GB",
    name="NVIDIA GeForce RTX 3060",
    uuid="GPU-1",
    driver="580.95.05",
    torch="2.15.0+cu130",
    cuda="13.0",
    cudnn="9.26.0",
    loading="lazy",
    usable_bytes=11910 * MIB,
    method=Method.GPU,
    alone=False,
    measured="2026-01-02T03:04:05Z",
    vggprof="0.1.0",
    runs=(
        MeasuredRun(
            Run.TRAIN_FP32,
            (
                StageBytes(Stage.CONTEXT, 280 * MIB, 280 * MIB),
                StageBytes(Stage.CONV_FORWARD, 120 * MIB, 160 * MIB),
            ),
        ),
        MeasuredRun(Run.INFER_FP32, (StageBytes(Stage.CONTEXT, 278 * MIB, 278 * MIB),)),
    ),
)


@pytest.mark.parametrize("form", Form)
def test_every_form_whole(form: Form, golden: Callable[[str, str], None]) -> None:
    times = (TimedStep("vgg11", 16, "off", 41.25, 50), TimedStep("vgg11", 16, "fp16", 20.5, 48))
    listing = CalibrationListing(Done.REMEMBERED, (ONE,), FOLDER, (times,))
    golden(f"calibrate.{SUFFIX[form]}", views.calibration(listing, form))


@pytest.mark.parametrize(
    ("done", "empty", "one"),
    [
        (Done.MEASURED, "Nothing was measured", "1 calibration kept in /home"),
        (Done.REMEMBERED, "None is remembered", "1 calibration in /home"),
        (Done.FORGOTTEN, "There was none to forget", "1 calibration dropped from /home"),
    ],
)
def test_what_was_done_is_said(done: Done, empty: str, one: str) -> None:
    assert empty in views.calibration(CalibrationListing(done, (), FOLDER), Form.TABLE)
    assert one in views.calibration(CalibrationListing(done, (ONE,), FOLDER), Form.TABLE)
