"""Calibrations as text: what was measured outside PyTorch's allocator, by run and stage."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, assert_never

from vggprof.forms import Form
from vggprof.units import format_bytes
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import plural
from vggprof.views.table import text_of

if TYPE_CHECKING:
    from vggprof.devices.calibration_listing import CalibrationListing, TimedStep
    from vggprof.devices.calibrations import Calibration

_TITLES: Final = {
    "measured": "Calibration, measured and remembered",
    "remembered": "Calibrations that are remembered",
    "forgotten": "Calibrations that were forgotten",
}
_NONE: Final = {
    "measured": "Nothing was measured",
    "remembered": "None is remembered; where there is a GPU, `vggprof calibrate` measures one",
    "forgotten": "There was none to forget",
}
_WHERE: Final = {"measured": "kept in", "remembered": "in", "forgotten": "dropped from"}
_METHODS: Final = {
    "process": "by what the driver says of the process",
    "gpu": "by what came to be in use on the whole GPU",
    "runtime": "by what was in use on the whole GPU",
}
_COLUMNS: Final = (
    Column("run", Unit.TEXT),
    Column("stage", Unit.TEXT),
    Column("added at least", Unit.BYTES),
    Column("at most", Unit.BYTES),
)
_TIME_COLUMNS: Final = (
    Column("network", Unit.TEXT),
    Column("batch", Unit.EXACT),
    Column("amp", Unit.TEXT),
    Column("median, ms", Unit.NUMBER),
    Column("steps", Unit.EXACT),
)
_CSV_HEADER: Final = ("device", "uuid", "driver", "torch", "run", "stage", "least_bytes", "most_bytes")
_HOW: Final = (
    "Bytes outside PyTorch's allocator that a stage adds to those before it in its run: at least by one "
    "call, at most by a variety of calls. Every run is a process of its own.",
    "Predictions for that GPU with that torch count the stages that a training runs, and say so.",
    "Times of steps draw those that `vggprof latency` predicts for that GPU to them, and it says so.",
)


def calibration(listing: "CalibrationListing", form: Form) -> str:
    """Return *listing* in *form*.

    As a table it begins like this::

    Calibrations that are remembered

    1 calibration in /home/me/.local/share/vggprof/calibrations-1

    NVIDIA GeForce RTX 3060 (GeForce RTX 3060 12GB, GPU-5ca1ab1e)
    torch 2.15.0+cu130, CUDA 13.0, cuDNN 9.26.0, driver 580.95.05; lazy loading
    """
    match form:
        case Form.TABLE:
            return text_of(calibration_document(listing))
        case Form.MARKDOWN:
            return markdown_of(calibration_document(listing))
        case Form.CSV:
            return csv_of(_CSV_HEADER, (row for one in listing.calibrations for row in _csv_rows(one)))
        case Form.JSON:
            return json_of("calibrate", _result(listing))
        case _:
            assert_never(form)


def calibration_document(listing: "CalibrationListing") -> Document:
    """Return what people read of *listing*."""
    found, done = listing.calibrations, listing.done.value
    blocks: list[Block] = [Lines((_NONE[done],))]
    if found:
        blocks = [Lines((f"{plural(len(found), 'calibration')} {_WHERE[done]} {listing.folder}",))]
        for one, times in zip(found, _times(listing), strict=True):
            blocks += _blocks(one, times)
        blocks.append(Notes("How to read this", _HOW))
    return Document(_TITLES[done], tuple(blocks))


def _times(listing: "CalibrationListing") -> tuple[tuple["TimedStep", ...], ...]:
    return listing.times or ((),) * len(listing.calibrations)


def _blocks(one: "Calibration", times: tuple["TimedStep", ...]) -> tuple[Block, ...]:
    rows = [
        (run.run.value, s.stage.value, s.least_bytes, s.most_bytes) for run in one.runs for s in run.stages
    ]
    blocks = Lines(tuple(_say(one))), Table("", _COLUMNS, tuple(rows))
    if not times:
        return blocks
    steps = tuple((each.arch, each.batch, each.amp, each.step_ms, each.steps) for each in times)
    return (*blocks, Table("Training steps", _TIME_COLUMNS, steps))


def _say(one: "Calibration") -> Iterator[str]:
    names = dict.fromkeys(name for name in (one.device, one.uuid) if name not in (None, one.name))
    yield one.name + (f" ({', '.join(map(str, names))})" if names else "")
    yield f"{one.made_with}; {one.loading} loading"
    yield f"Measured {one.measured} {_METHODS[one.method.value]}; {format_bytes(one.usable_bytes)} usable"
    if one.caution is not None:
        yield f"Caution: {one.caution}"


def _csv_rows(one: "Calibration") -> Iterator[tuple[Cell, ...]]:
    for run in one.runs:
        for s in run.stages:
            yield (
                one.device,
                one.uuid,
                one.driver,
                one.torch,
                run.run.value,
                s.stage.value,
                s.least_bytes,
                s.most_bytes,
            )


def _result(listing: "CalibrationListing") -> dict[str, Json]:
    return {
        "done": listing.done.value,
        "folder": str(listing.folder),
        "calibrations": [
            {**_json(one), "times": [asdict(each) for each in times]}
            for one, times in zip(listing.calibrations, _times(listing), strict=True)
        ],
    }


def _json(one: "Calibration") -> dict[str, Json]:
    return {
        "device": one.device,
        "name": one.name,
        "uuid": one.uuid,
        "driver": one.driver,
        "torch": one.torch,
        "cuda": one.cuda,
        "cudnn": one.cudnn,
        "loading": one.loading,
        "usable_bytes": one.usable_bytes,
        "method": one.method.value,
        "alone": one.alone,
        "caution": one.caution,
        "measured": one.measured,
        "measured_by": one.vggprof,
        "runs": [
            {
                "run": run.run.value,
                "stages": [
                    {
                        "stage": s.stage.value,
                        "least_bytes": s.least_bytes,
                        "most_bytes": s.most_bytes,
                    }
                    for s in run.stages
                ],
            }
            for run in one.runs
        ],
    }
