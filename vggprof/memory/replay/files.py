"""A file of recorded runs, whichever of the two kinds it is: all of it replayed."""

import gzip
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TypeAlias

from vggprof.errors import FileFormatError
from vggprof.memory.allocator.config import UNLIMITED
from vggprof.memory.replay.check import Agreement, check_trace
from vggprof.memory.replay.recorded import read_recorded
from vggprof.memory.replay.snapshot import DeviceTrace, read_snapshot

Scalar: TypeAlias = str | int | float | bool | None

# Event files are some megabytes when unpacked; a small file that unpacks to far more was made to do harm.
MAX_UNPACKED_BYTES = 2**28
_GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1: how every gzip file begins
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class ReplayedRun:
    """One device of a snapshot, or one run of an event file, and how much of it the simulator gives again."""

    name: str  # "device 0", "run 2", or "run 2 fits" at the edge of a smaller card
    setup: tuple[tuple[str, Scalar], ...]  # what an event file says of the run; nothing in a snapshot
    settings_told: bool  # whether the file tells the allocator's settings
    agreement: Agreement

    @property
    def max_split_bytes(self) -> int | None:
        """Size from which on blocks are not split; None without such a limit."""
        limit = self.agreement.config.max_split_bytes
        return None if limit == UNLIMITED else limit


@dataclass(frozen=True, slots=True)
class ReplayedFile:
    """Every run of one file, in its order; there is at least one."""

    path: str
    runs: tuple[ReplayedRun, ...]

    @property
    def allocations(self) -> int:
        """Allocations that were recorded."""
        return sum(run.agreement.allocations for run in self.runs)

    @property
    def addresses_matched(self) -> int:
        """Allocations that the simulator puts at the recorded address."""
        return sum(run.agreement.addresses_matched for run in self.runs)

    @property
    def segments_recorded(self) -> int:
        """Segments and mapped pages that came while it was recorded."""
        return sum(run.agreement.segments_recorded for run in self.runs)

    @property
    def segments_matched(self) -> int:
        """Those of them that come with the same size, at the same address and time."""
        return sum(run.agreement.segments_matched for run in self.runs)

    @property
    def complete(self) -> bool:
        """Whether nothing differs in any run."""
        return all(run.agreement.complete for run in self.runs)

    @property
    def first_disagreement(self) -> ReplayedRun | None:
        """The first run in which simulator and recording part; None where they never do."""
        return next((run for run in self.runs if not run.agreement.complete), None)


def replay_file(path: str | Path) -> ReplayedFile:
    """Return the file at *path* replayed: a pickled snapshot, or a gzipped event file.

    Raises FileFormatError, in one line, for a file that cannot be read, is neither, or contradicts itself.
    """
    return ReplayedFile(str(path), tuple(run for run, _ in replayed_traces(path)))


def replayed_traces(path: str | Path) -> Iterator[tuple[ReplayedRun, DeviceTrace]]:
    """Yield each run of the file at *path* replayed, with its trace. Raises as ``replay_file`` does."""
    file = Path(path)
    yield from _recorded(file) if _is_gzip(file) else _snapshot(file)


def _is_gzip(file: Path) -> bool:
    """Tell how *file* begins. Raises FileFormatError for what is no regular file, and so may never end."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise FileFormatError(f"{file}: not a file; name a pickled snapshot or a gzipped event file")
        with file.open("rb") as opened:
            return opened.read(len(_GZIP)) == _GZIP
    except OSError as error:
        raise FileFormatError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:  # a null character in the name
        raise FileFormatError(f"{file}: {error}") from error


def _snapshot(file: Path) -> Iterator[tuple[ReplayedRun, DeviceTrace]]:
    for trace in read_snapshot(file):
        told = trace.config is not None
        yield ReplayedRun(f"device {trace.device}", (), told, _checked(file, trace)), trace


def _recorded(file: Path) -> Iterator[tuple[ReplayedRun, DeviceTrace]]:
    _limit(file)
    try:
        runs = read_recorded(file)
    except RecursionError:
        raise FileFormatError(f"{file}: nested too deeply for an event file") from None
    if not runs:
        raise FileFormatError(f"{file}: holds no runs")
    for number, run in enumerate(runs, 1):
        agreement = _checked(file, run.trace, run.marks)
        setup = tuple((name, _scalar(value)) for name, value in run.setup.items())
        yield ReplayedRun(f"run {number} {run.edge}".strip(), setup, False, agreement), run.trace


def _scalar(value: object) -> Scalar:
    """Return *value* as it is where JSON has a plain word for it, else as text."""
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    return f"{value!r:.80}"


def _checked(file: Path, trace: DeviceTrace, marks: tuple[tuple[str, int], ...] = ()) -> Agreement:
    try:
        return check_trace(trace, marks=marks)
    except FileFormatError as error:
        raise FileFormatError(f"{file}: {error}") from error


def _limit(file: Path) -> None:
    """Raise FileFormatError for a gzip file that unpacks to more than `MAX_UNPACKED_BYTES`."""
    unpacked = 0
    try:
        with gzip.open(file) as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                unpacked += len(chunk)
                if unpacked > MAX_UNPACKED_BYTES:
                    raise FileFormatError(f"{file}: unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{file}: not a whole gzip file: {error}") from error
