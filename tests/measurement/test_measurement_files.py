"""Files of measurements: what comes back is what went in, and nothing else is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from measurement_made import measurements, on_cpu

from vggprof.errors import FileFormatError, UsageError
from vggprof.measurement import (
    AllocatorEvent,
    Conditions,
    Environment,
    Kernel,
    LayerTime,
    Measurement,
    Memory,
    MemoryMark,
    PhaseTime,
    Samples,
    Sensor,
    Timing,
    read_measurements,
    write_measurements,
)
from vggprof.measurement.decode import from_json
from vggprof.measurement.encode import to_json
from vggprof.trace import Setup


@given(measurements)
def test_what_is_written_is_read(measurement: Measurement) -> None:
    line = to_json(measurement)
    assert "\n" not in line
    assert from_json(line, "here") == measurement


def test_a_file_holds_several(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    write_measurements([on_cpu(batch) for batch in (1, 2, 4)], path)
    assert path.read_text().count("\n") == 3
    assert read_measurements(path) == (on_cpu(1), on_cpu(2), on_cpu(4))


def test_what_has_a_default_may_be_left_out() -> None:
    document = _document()
    assert document["measurement"].pop("sensors") == []
    document["measurement"]["memory"] = {"events": [["alloc", 512, 4096], ["oom", 1024, None]]}
    read = from_json(json.dumps(document), "here")
    assert read.sensors == ()
    assert read.memory == Memory(
        events=(AllocatorEvent("alloc", 512, 4096), AllocatorEvent("oom", 1024, None))
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "vggprof-trace"}, "not a measurement"),
        ({"schema_version": 2}, "schema_version is 2; this vggprof reads 1"),
        ({"schema_version": True}, "schema_version is True"),
        ({"measurement": None}, "measurement must be an object, not None"),
        ({"measurement.status": "fine"}, "measurement.status: 'fine' is none of ok, oom, timeout, crashed"),
        ({"measurement.statsu": "ok"}, "unknown key 'statsu'; did you mean 'status'?"),
        ({"measurement.conditions.tf32": 1}, "tf32 must be a boolean, not 1"),
        ({"measurement.conditions.setup.batch": 0}, "batch 0 cannot be run"),
        ({"measurement.conditions.setup.batch": 1.0}, "batch must be a whole number, not 1.0"),
        ({"measurement.memory.process_bytes": -1}, "-1 is not between 0 and"),
        ({"measurement.memory.process_bytes": 10**400}, "is not between 0 and"),
        ({"measurement.memory.process_bytes": True}, "process_bytes must be a whole number, not True"),
        ({"measurement.memory.events": [["alloc", 1]]}, r"events\[0\] must hold 3 values, not 2"),
        ({"measurement.memory.event_marks": [1]}, "each mark needs the number of events before it"),
        ({"measurement.timing.step.values_ms": []}, "a time needs a sample or more"),
        ({"measurement.timing.step.values_ms": [1.0, "2"]}, r"values_ms\[1\] must be a number, not '2'"),
        ({"measurement.timing.step.throttled": [3]}, "a throttled sample is not among the samples"),
        ({"measurement.timing.step": None}, "timing.step must be an object"),
        ({"measurement.layers": {}}, "layers must be a list"),
        ({"measurement.environment.capability": [9]}, "capability must hold 2 values, not 1"),
    ],
)
def test_what_is_not_as_described_is_refused_with_its_place(change: dict[str, Any], complaint: str) -> None:
    document = _document()
    for path, value in change.items():
        *way, last = path.split(".")
        target = document
        for key in way:
            target = target[key]
        target[last] = value
    with pytest.raises(FileFormatError, match=complaint) as error:
        from_json(json.dumps(document), "here.jsonl:3")
    assert str(error.value).startswith("here.jsonl:3")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named() -> None:
    document = _document()
    del document["measurement"]["conditions"]["arch"]
    with pytest.raises(FileFormatError, match="conditions: 'arch' is missing"):
        from_json(json.dumps(document), "here")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1.0"])
def test_times_are_numbers(number: str) -> None:
    text = to_json(on_cpu()).replace('"values_ms":[10.0', f'"values_ms":[{number}')
    assert number in text
    with pytest.raises(FileFormatError):
        from_json(text, "here")


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text(to_json(on_cpu())[:length])
    with pytest.raises(FileFormatError, match=r"cut\.jsonl"):
        read_measurements(path)


def test_the_line_at_fault_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl"
    path.write_text(f"{to_json(on_cpu())}\n\n{to_json(on_cpu())[:-9]}\n")
    with pytest.raises(FileFormatError, match=r"half\.jsonl:3: not whole JSON"):
        read_measurements(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"[]", b"9" * 5000, b"{}"])
def test_other_contents_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="other"):
        read_measurements(path)


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggprof.measurement.files.MAX_FILE_BYTES", 10_000)
    with pytest.raises(FileFormatError, match="larger than any measurements"):
        read_measurements(Path("/dev/zero"))


def test_no_file_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        read_measurements(tmp_path / "none")
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_measurements([on_cpu()], tmp_path / "none" / "m.jsonl")


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_json(on_cpu()))
    return document


PAGE = (Path(__file__).parents[2] / "docs" / "measurement-file.md").read_text()


@pytest.mark.parametrize("kind", [Samples, Kernel, MemoryMark, AllocatorEvent, Sensor, PhaseTime, Setup])
def test_every_key_is_documented(kind: Any) -> None:  # noqa: ANN401
    assert all(f"`{field.name}`" in PAGE for field in fields(kind))


@pytest.mark.parametrize("kind", [Measurement, Conditions, Environment, Timing, LayerTime, Memory])
def test_what_may_be_left_out_is_marked(kind: Any) -> None:  # noqa: ANN401
    for field in fields(kind):
        assert f"`{field.name}`" in PAGE
        assert (f"`{field.name}`*" in PAGE) is (field.default is not MISSING), field.name


@contextmanager
def no_room() -> Iterator[None]:
    """A disk that holds no more than 100 bytes of a file; for a moment only, as pytest writes files, too."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("before", [{}, {"m.jsonl": "what was there"}])
def test_a_file_is_written_whole_or_not_at_all(before: dict[str, str], tmp_path: Path) -> None:
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match="measurements cannot be written: File too large"), no_room():
        write_measurements([on_cpu()], tmp_path / "m.jsonl")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
