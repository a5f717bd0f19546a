"""What the API does with measurements: make them, keep them, read and write them, say what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vggprof import measurement as files
from vggprof import store
from vggprof.compare import diff as changes
from vggprof.errors import UsageError, VggprofError
from vggprof.measurement import Measurement

if TYPE_CHECKING:
    from vggprof.profiler.plan import Request
    from vggprof.profiler.sweep import Sweep


def measure_all(
    request: Request,
    batches: Sequence[int] | None,
    *,
    store: bool,
    say: Callable[[str], None],
    write: Callable[[str], None],
) -> Sweep:
    """Measure *request* at each of *batches*, or on the way to the largest that fits, and keep what is done.

    What cannot be kept is measured all the same; the reason comes with the result. Raises as
    `vggprof.profiler.isolation.measure` does, and FileFormatError before any work for a damaged store.
    """
    from vggprof.profiler import isolation  # noqa: PLC0415 - commands that measure nothing do without
    from vggprof.profiler.sweep import of_batches, to_the_largest  # noqa: PLC0415

    arch, trouble = request.conditions.arch, list[VggprofError]()
    if store:
        list_runs()

    def one(asked: Request) -> Measurement:
        batch = asked.conditions.setup.batch
        return isolation.measure(asked, lambda text: say(f"{arch}, batch {batch}: {text}"), write)

    def done(made: Measurement) -> None:
        try:
            if store and not trouble:
                say(f"{arch}, batch {made.conditions.setup.batch}: kept as {keep(made)}")
        except VggprofError as error:
            trouble.append(error)

    sweep = to_the_largest(request, one, done) if batches is None else of_batches(request, batches, one, done)
    return replace(sweep, not_kept=trouble[0] if trouble else None)


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
