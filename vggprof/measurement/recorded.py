"""Files of the stand-alone recorder, each configuration a measurement.

Read are ``memory.jsonl``, ``process.jsonl``, ``oom.jsonl`` and ``time.jsonl``, and the allocator's events
beside the first and the third (``memory-events.jsonl.gz``, ``oom-events.jsonl.gz``) where they are there.
The networks are torchvision's, the loop is the reference loop. What did not come to run is left out, and so
is the row on the stages of a bare context, which is about no network.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from vggprof.errors import FileFormatError, UsageError
from vggprof.measurement.decode import parse, value_of
from vggprof.measurement.recorded_rows import (
    About,
    Config,
    History,
    Quartiles,
    Seen,
    about_of,
    environment,
    mark_of,
)
from vggprof.measurement.values import Measurement, Memory, PhaseTime, Status

Document: TypeAlias = tuple[Any, str]  # JSON, and the place it was read at

# Event files are some megabytes when unpacked; a small file that unpacks to far more was made to do harm.
MAX_UNPACKED_BYTES = 2**28
_NOT_RUN = "not run: time was up"
_FIRST_TRY = 32  # the batch that the search for the largest one begins at
_TIMED = ("output", "loss", "backward", "optimizer")


def read_recorded(path: Path, documents: Sequence[Document]) -> tuple[Measurement, ...]:
    """Return the measurements of a recorder's file, whose first line says what it was made on.

    Raises FileFormatError for rows of another form.
    """
    first, where = documents[0]
    about = about_of(first["about"], f"{where}: about")
    histories = dict(_histories(path))
    rows = (row for said, place in documents[1:] for row in _rows(about, said, histories, place))
    return tuple(measured for row in rows for measured in row.measured())


def _rows(about: About, said: object, histories: Mapping[Config, Any], where: str) -> "Iterator[_Row]":
    """Yield a row for each configuration that a line is about."""
    if not isinstance(said, dict) or not ("config" in said or "context" in said):
        raise FileFormatError(f"{where}: a row of a recording has a config")
    if "context" in said or said.get("error") == _NOT_RUN:
        return
    config = said["config"]
    for one in config["configs"] if isinstance(config, dict) and "configs" in config else [config]:
        ran = value_of(Config, one, f"{where}: config")
        yield _Row(about, ran, said, histories.get(ran, {}), where)


@dataclass(frozen=True, slots=True)
class _Row:
    """What came of one configuration; *where* names the line."""

    about: About
    config: Config
    said: Mapping[str, Any]
    events: Mapping[str, Any]  # of the same configuration; empty where none are at hand
    where: str

    def measured(self) -> Iterator[Measurement]:
        """Yield what the row measured: two measurements for the edge of what fits, else one."""
        if self.config.batch == 0:
            yield from self._edge()
        elif "error" in self.said:
            yield self._failed(self.config.batch)
        elif "before" in self.said:
            yield self._made(self.config.batch, memory=self._process())
        elif "marks" in self.said:
            yield self._made(self.config.batch, memory=self._memory())
        else:
            yield self._made(self.config.batch, phases=tuple(self._phases()))

    def _made(
        self,
        batch: int,
        status: Status = Status.OK,
        *,
        message: str | None = None,
        memory: Memory | None = None,
        phases: tuple[PhaseTime, ...] = (),
    ) -> Measurement:
        try:
            conditions = self.config.conditions(self.about, batch)
        except UsageError as error:
            raise FileFormatError(f"{self.where}: config: {error}") from error
        return Measurement(conditions, environment(self.about), status, message, memory=memory, phases=phases)

    def _failed(self, batch: int) -> Measurement:
        error = str(self.said["error"])
        if "OutOfMemoryError" in error:
            return self._made(batch, Status.OOM, message=error)
        return self._made(batch, Status.TIMEOUT if error == "timed out" else Status.CRASHED, message=error)

    def _edge(self) -> Iterator[Measurement]:
        """Yield the largest batch that fitted, the smallest that did not, and a try that ended the search."""
        low, high = self._count("largest_batch") or 0, self._count("first_failing")
        if low:
            yield self._made(low, memory=self._edge_memory("fits"))
        if high is not None:
            message, memory = self.said.get("message"), self._edge_memory("fails")
            said = None if message is None else str(message)
            yield self._made(high, Status.OOM, message=said, memory=memory)
        if "error" in self.said:
            yield self._failed((low + high) // 2 if high is not None else 2 * low or _FIRST_TRY)

    def _edge_memory(self, which: str) -> Memory | None:
        history = self._history(self.events.get(which))
        return None if history is None else Memory(events=history.allocator_events())

    def _memory(self) -> Memory:
        history = self._history(self.events)
        if history is not None and [name for name, _ in history.marks] != list(self._marks()):
            raise FileFormatError(f"{self.where}: the marks among its events are others")
        return Memory(
            peak_allocated_bytes=self._count("peak_allocated"),
            peak_reserved_bytes=self._count("peak_reserved"),
            marks=tuple(mark_of(name, said, where) for name, (said, where) in self._marks().items()),
            events=() if history is None else history.allocator_events(),
            event_marks=() if history is None else tuple(before for _, before in history.marks),
            retries=self._count("retries"),
        )

    def _process(self) -> Memory:
        """Return the most of each that was seen."""
        before = value_of(Seen, self.said["before"], f"{self.where}: before")
        others = frozenset(number for number, _ in before.processes)
        seen = [value_of(Seen, said, where) for said, where in self._marks().values()]
        held = [(each.mine(others), each.reserved) for each in seen]
        return Memory(
            peak_reserved_bytes=_most(reserved for _, reserved in held),
            process_bytes=_most(mine for mine, _ in held),
            gpu_bytes=_most(each.gpu for each in seen),
            context_bytes=_most(
                mine - reserved for mine, reserved in held if mine is not None and reserved is not None
            ),
        )

    def _phases(self) -> Iterator[PhaseTime]:
        for phase in _TIMED:
            for key, clock in ((f"{phase}_ms", "cuda events"), (f"host_{phase}_ms", "host")):
                if key in self.said:
                    q = value_of(Quartiles, self.said[key], f"{self.where}: {key}")
                    yield PhaseTime(phase, clock, q.median, q.p25, q.p75, q.min, q.n)

    def _marks(self) -> dict[str, Document]:
        """Return what was said at each mark, with its place."""
        marks = self.said.get("marks")
        if not isinstance(marks, dict):
            raise FileFormatError(f"{self.where}: 'marks' must be an object")
        return {name: (said, f"{self.where}: marks.{name}") for name, said in marks.items()}

    def _history(self, said: Mapping[str, Any] | None) -> History | None:
        if not said:
            return None
        told = {key: said[key] for key in ("events", "marks") if key in said}
        return value_of(History, told, f"{self.where}: events")

    def _count(self, key: str) -> int | None:
        count = self.said.get(key)
        if count is not None and (type(count) is not int or count < 0):
            raise FileFormatError(f"{self.where}: {key!r} must be a whole number, not {count!r:.40}")
        return count


def _most(sizes: Iterable[int | None]) -> int | None:
    return max((size for size in sizes if size is not None), default=None)


def _histories(path: Path) -> Iterator[tuple[Config, Any]]:
    """Yield the rows of the event file beside *path*, if there is one, by their configuration."""
    beside = path.with_name(f"{path.stem}-events.jsonl.gz")
    if beside.exists():
        for number, line in enumerate(_unpacked(beside).splitlines(), 1):
            where = f"{beside}:{number}"
            said = parse(line.decode("utf-8", "replace"), where)
            if not isinstance(said, dict):
                raise FileFormatError(f"{where}: a row of events has a config")
            yield value_of(Config, said.get("config"), f"{where}: config"), said


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{path}: not a whole gzip file: {error}") from error
    if len(content) > MAX_UNPACKED_BYTES:
        raise FileFormatError(f"{path}: unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    return content
