"""The file that keeps runs: SQLite, in the user's data directory.

``VGGPROF_DATA_DIR`` names another directory. Several processes can read and write at once: readers see what
was there when they began (write-ahead log), writers wait for each other. A run is kept whole or not at all:
a process that is killed loses the run it was about to keep and nothing else. A file that is damaged, or of
a newer vggprof, is left as it is.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from vggprof.errors import FileFormatError, UsageError
from vggprof.kept import DATA_VARIABLE, data_directory

FILE_NAME = "runs.sqlite"
# "vggp" as a number: which program's SQLite file this is (sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = int.from_bytes(b"vggp")
# The number of the layout below. A newer one is refused; an older one would be brought up here.
SCHEMA_VERSION = 1
# Writers hold the file for as long as one run takes to write.
WAIT_S = 30.0

_LAYOUT = """
    create table runs (
        number integer primary key autoincrement,
        name text not null unique,
        kept text not null,
        arch text not null,
        batch integer not null,
        mode text not null,
        status text not null,
        device_name text not null,
        torch text not null,
        step_ms real,
        peak_allocated_bytes integer,
        measurement text not null
    )
"""

# How SQLite's names of errors begin (sqlite.org/rescode.html), by what they mean here. A write beyond what a
# file may grow to fails as a broken disk does.
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_IOERR_SHORT_READ")
_FULL = ("SQLITE_FULL", "SQLITE_IOERR")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


def store_path() -> Path:
    """Return the file that keeps runs, which need not exist."""
    return data_directory() / FILE_NAME


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Give a connection to the store at *path*; None where there is none yet, and none is made.

    Raises FileFormatError for a file that is damaged, newer, or no store, UsageError for one that cannot be
    read.
    """
    with _translated(path):
        if not path.exists():
            yield None
            return
        with closing(_connected(path, "rw")) as connection:
            yield connection if _is_store(connection, path) else None


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to the store at *path* for one change, made whole at the end or not at all.

    The store is made where there is none. Raises as `reading` does, and UsageError where there is no room.
    """
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_connected(path, "rwc")) as connection:
            _is_store(connection, path)  # before anything is changed
            with suppress(sqlite3.OperationalError):  # another process is just doing the same
                connection.execute("pragma journal_mode = wal")
            connection.execute("begin immediate")
            try:
                _make_ready(connection, path)
                yield connection
                connection.execute("commit")
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")


def check_usable(path: Path) -> None:
    """Return where a run could be kept in the store at *path*, which is made where there is none.

    Raises as `writing` does, and changes nothing of what is kept.
    """
    with writing(path):
        pass


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """Connect to *path*; transactions begin and end where we say so."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT_S, isolation_level=None
    )


def _is_store(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file holds a store yet. Raises FileFormatError where it holds something else."""
    (application,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if not (application or version or tables):
        return False
    if application != APPLICATION_ID:
        raise FileFormatError(f"{path}: another program's SQLite file, not a store of runs")
    if version > SCHEMA_VERSION:
        raise FileFormatError(
            f"{path}: kept by a newer vggprof (layout {version}, this one knows {SCHEMA_VERSION}); update "
            f"vggprof, or name another directory with {DATA_VARIABLE}"
        )
    return True


def _make_ready(connection: sqlite3.Connection, path: Path) -> None:
    """Make the layout in a new file; look for damage in one that is not, before it is changed."""
    if not _is_store(connection, path):
        connection.execute(_LAYOUT)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
        return
    (found,) = connection.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        raise _damaged(path, found)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise into one line of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _said(path, error) from error
    except OSError as error:
        raise UsageError(f"{path}: the store of runs cannot be used: {error.strerror or error}") from error


def _said(path: Path, error: sqlite3.Error) -> UsageError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(_DAMAGED):
        return _damaged(path, str(error))
    if name.startswith(_FULL):
        return UsageError(f"{path}: nothing was kept, for the disk is full or fails ({error})")
    if name.startswith(_BUSY):
        return UsageError(f"{path}: another process has held the store for {WAIT_S:.0f} s; try again")
    return UsageError(f"{path}: the store of runs cannot be used: {error}")


def _damaged(path: Path, how: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: the store of runs is damaged and was left as it is ({' '.join(how.split())}); move it away "
        "to begin a new one, `sqlite3 FILE .recover` may save its runs"
    )
