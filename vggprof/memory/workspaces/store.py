"""cuDNN's answers on disk: one SQLite file in the user's cache directory.

A row an answer, because nets, batches and cards share answers only convolution by convolution, and a search
over batches asks for hundreds: SQLite finds them in a few milliseconds, and keeps readers and writers of
several processes apart. Nothing here ever fails a command: a file that is damaged, locked or cannot be
written is a cache that finds nothing.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from vggprof.cache import cache_directory
from vggprof.memory.workspaces.plans import Plan

# The layout of a row; another number is another file.
FILE = "cudnn-1.sqlite3"
# Bytes above which all is forgotten; VGG-16 at one batch on one card takes about 60 KB.
MAX_BYTES = 128 * 2**20
# Seconds to wait for another process's lock.
_PATIENCE_S = 1.0
# Keys looked up at once; SQLite before 3.32 takes at most 999 parameters.
_CHUNK = 900

Plans = tuple[Plan, ...]


def find(context: str, keys: Sequence[str]) -> dict[str, Plans]:
    """Return what is stored for *keys* in *context*: library, frontend and device, as one text."""
    hashes = {_hash(context, key): key for key in keys}
    wanted = list(hashes)
    found: dict[str, Plans] = {}
    with suppress(sqlite3.Error, OSError), _opened() as database:
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            for key, sealed in database.execute(
                f"SELECT key, plans FROM answers WHERE key IN ({marks})", chunk
            ):
                plans = _unsealed(sealed)
                if plans is not None:
                    found[hashes[key]] = plans
    return found


def keep(context: str, answers: Mapping[str, Plans]) -> None:
    """Store *answers* by key."""
    if not answers:
        return
    rows = [(_hash(context, key), _sealed(plans)) for key, plans in answers.items()]
    with suppress(sqlite3.Error, OSError):
        try:
            _write(rows)
        except sqlite3.OperationalError:  # locked, or not to be written
            return
        except sqlite3.DatabaseError:  # damaged
            _remove(larger_than=-1)
            _write(rows)


def _write(rows: list[tuple[bytes, bytes]]) -> None:
    _remove(larger_than=MAX_BYTES)
    with _opened(make=True) as database, database:
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)


@contextmanager
def _opened(*, make: bool = False) -> Iterator[sqlite3.Connection]:
    """Give the database; *make* makes it where it is missing.

    Raises OSError where the cache is switched off or cannot be used, sqlite3.Error where the file is none.
    """
    path = _path()
    mode = "rwc" if make else "ro"
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", timeout=_PATIENCE_S, uri=True)) as database:
        if make:
            database.execute("PRAGMA synchronous = OFF")  # a lost answer is asked again
            database.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, plans BLOB) WITHOUT ROWID"
            )
        yield database


def _path() -> Path:
    """Return the database's place. Raises FileNotFoundError where the cache is switched off."""
    directory = cache_directory()
    if directory is None:
        raise FileNotFoundError("the cache is switched off")
    return directory.absolute() / FILE


def _remove(*, larger_than: int) -> None:
    """Remove the database where it has more than so many bytes. Raises OSError."""
    path = _path()
    if path.exists() and path.stat().st_size > larger_than:
        path.unlink()


def _hash(context: str, key: str) -> bytes:
    return blake2b(
        key.encode(), digest_size=16, key=blake2b(context.encode(), digest_size=32).digest()
    ).digest()


def _sealed(plans: Plans) -> bytes:
    """Return *plans* behind their checksum."""
    rows = [[plan.name, plan.workspace_bytes, plan.notes, plan.fallback] for plan in plans]
    content = json.dumps(rows, separators=(",", ":")).encode()
    return blake2b(content, digest_size=8).digest() + content


def _unsealed(sealed: object) -> Plans | None:
    """Return the plans; None where the row is damaged."""
    if not isinstance(sealed, bytes) or blake2b(sealed[8:], digest_size=8).digest() != sealed[:8]:
        return None
    return tuple(
        Plan(name, size, tuple(notes), fallback) for name, size, notes, fallback in json.loads(sealed[8:])
    )
