"""Predictions against recorded GPU runs: every allocation, every mark, every peak, to the byte."""

import json
from typing import Any

import pytest
from recorded_runs import Recording, recordings

from vggprof.memory.run import run

CASES = [
    pytest.param(recording, row, id=f"{recording.folder.name}-{json.dumps(row['config'], sort_keys=True)}")
    for recording in recordings()
    for row in recording.rows("memory")
    if not row["config"]["benchmark"]
]
EDGES = [
    pytest.param(recording, row, id=f"{recording.folder.name}-{json.dumps(row['config'], sort_keys=True)}")
    for recording in recordings()
    for row in recording.rows("oom")
]


def _same_cudnn(recording: Recording) -> None:
    if not recording.software.cudnn.exact:
        pytest.skip(f"cuDNN {recording.about['cudnn']}, which made the recording, is not at hand")


@pytest.mark.parametrize(("recording", "row"), CASES)
def test_peaks_and_marks_are_those_of_the_gpu(
    recording: Recording, row: dict[str, Any], torchvision: object
) -> None:
    _same_cudnn(recording)
    config = row["config"]
    with recording.forecast(config) as forecast:
        predicted = forecast.predict(config["batch"], recording.card(config))
    assert predicted.peak_allocated.likely == row["peak_allocated"]
    assert predicted.peak_reserved.likely == row["peak_reserved"]
    marks = {
        f"{mark.phase}{'' if mark.step is None else mark.step}": (mark.allocated_bytes, mark.reserved_bytes)
        for mark in predicted.shown.marks
    }
    recorded = {name: (mark["allocated"], mark["reserved"]) for name, mark in row["marks"].items()}
    assert marks == {name: held for name, held in recorded.items() if name != "start"}


@pytest.mark.parametrize(("recording", "row"), CASES)
def test_every_allocation_is_the_gpus(recording: Recording, row: dict[str, Any], torchvision: object) -> None:
    _same_cudnn(recording)
    config = row["config"]
    recorded = next(made for made in recording.events("memory") if made["config"] == config)
    sizes = [size for action, size, _ in recorded["events"] if action == "a"]
    with recording.forecast(config) as forecast:
        timeline, answers, room = forecast.asked(config["batch"], recording.card(config))
    assert list(run(timeline, answers, room.endless).requested) == sizes


@pytest.mark.parametrize(("recording", "row"), EDGES)
def test_the_largest_batch_is_the_gpus(
    recording: Recording, row: dict[str, Any], torchvision: object
) -> None:
    _same_cudnn(recording)
    config = row["config"]
    with recording.forecast(config) as forecast:
        assert forecast.largest_batch(recording.card(config), start=32) == row["largest_batch"]
