"""Measurements that are kept: in files, and in the user's store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vggprof import measurement as files
from vggprof import store
from vggprof.compare import diff as changes
from vggprof.errors import UsageError
from vggprof.measurement import Measurement


def read_measurements(path: str | Path) -> tuple[Measurement, ...]:
    """Return the measurements in a file, one or more.

    Raises FileFormatError for a file that is damaged, hostile, of another version, or no such file.
    """
    return files.read_measurements(Path(path))


def write_measurements(measurements: Iterable[Measurement], path: str | Path) -> None:
    """Write *measurements* to a file, a line each. Raises UsageError where it cannot be written."""
    files.write_measurements(measurements, Path(path))


def keep(measurement: Measurement) -> str:
    """Keep *measurement* in the user's store and return its name there.

    Raises UsageError where the store cannot be written, FileFormatError where it is damaged or newer.
    """
    return store.add(measurement)


def list_runs() -> tuple[store.Run, ...]:
    """Return what is kept in the user's store, oldest first. Raises FileFormatError as `keep` does."""
    return store.list_runs()


def get_run(name: str) -> Measurement:
    """Return the measurement that is kept as *name*. Raises UsageError where there is none."""
    return store.get(name)


def delete_runs(names: Sequence[str]) -> None:
    """Delete the runs of these names, all of them or none. Raises UsageError as `get_run` does."""
    store.delete(names)


def export(names: Sequence[str]) -> str:
    """Return the runs of these names as the content of a measurement file. Raises as `get_run` does."""
    return files.text_of([get_run(name) for name in names])


def find(text: str) -> tuple[Measurement, ...]:
    """Return what *text* means: the run of that name, or the measurements in that file.

    Raises as `get_run` and `read_measurements` do.
    """
    if not Path(text).exists() and text.replace("-", "").isalnum():  # a name has neither dots nor slashes
        return (get_run(text),)
    return read_measurements(text)


def diff(first: str, second: str) -> changes.RunDiff:
    """Return what has changed from *first* to *second*, each a run's name or a file with one measurement.

    Raises as `find` does, and UsageError for a file with several.
    """
    return changes.diff(_one(first), _one(second), (first, second))


def _one(text: str) -> Measurement:
    found = find(text)
    if len(found) != 1:
        raise UsageError(f"{text} holds {len(found)} measurements; a diff is of one with one")
    return found[0]
