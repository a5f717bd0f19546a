"""A small store of texts in the user's cache directory: what is slow to make and safe to lose.

Every entry is a file of its own, written beside its place and moved there, so readers see all of it or none
and two writers may race; each carries a checksum, so damage is a miss. Nothing here ever fails a command: a
directory that cannot be written is a cache that stays empty. ``VGGPROF_CACHE_DIR`` names another directory,
``VGGPROF_NO_CACHE=1`` switches the cache off.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_path

# First bytes of every entry; a new layout gets a new number, and older entries are misses until evicted.
MAGIC = b"vggprof-cache 1 "
SUFFIX = ".entry"
# All entries together; after a write that goes over, the least recently used ones go until a quarter is free.
MAX_TOTAL_BYTES = 256 * 2**20
# One entry; a single giant may not push out everything else.
MAX_ENTRY_BYTES = MAX_TOTAL_BYTES // 4


def get(kind: str, key: str) -> str | None:
    """Return the text that was stored under *kind* and *key*; None where there is none that is whole."""
    directory = cache_directory()
    if directory is None:
        return None
    place = _place(directory, kind, key)
    try:
        if place.stat().st_size > len(MAGIC) + 65 + MAX_ENTRY_BYTES:
            return None
        text = _unseal(place.read_bytes())
    except OSError:
        return None
    with suppress(OSError):
        os.utime(place)  # eviction goes by time of last use
    return text


def put(kind: str, key: str, text: str) -> None:
    """Store *text* under *kind* and *key*; silently does nothing where that is not possible."""
    directory = cache_directory()
    payload = text.encode(errors="surrogatepass")
    if directory is None or len(payload) > MAX_ENTRY_BYTES:
        return
    with suppress(OSError):
        _write(_place(directory, kind, key), _seal(payload))
        _evict(directory)


def cache_directory() -> Path | None:
    """Return the directory of the cache, which need not exist; None where the cache is switched off."""
    if os.environ.get("VGGPROF_NO_CACHE", "") not in {"", "0"}:
        return None
    named = os.environ.get("VGGPROF_CACHE_DIR", "")
    return Path(named) if named else user_cache_path("vggprof", appauthor=False)


def _place(directory: Path, kind: str, key: str) -> Path:
    """Return the file of an entry; keys may hold any characters, kinds are words."""
    if not kind.isidentifier():
        raise ValueError(f"{kind!r} is not a kind of entry")
    return directory / kind / (sha256(key.encode()).hexdigest() + SUFFIX)


def _seal(payload: bytes) -> bytes:
    """Return *payload* behind a line that says what it is and what its checksum is."""
    return MAGIC + sha256(payload).hexdigest().encode() + b"\n" + payload


def _unseal(content: bytes) -> str | None:
    """Return the text of a sealed entry; None where it is damaged."""
    head, _, payload = content.partition(b"\n")
    if head != MAGIC + sha256(payload).hexdigest().encode():
        return None
    return payload.decode(errors="surrogatepass")


def _write(place: Path, content: bytes) -> None:
    """Put *content* at *place* in one move. Raises OSError and then leaves nothing behind."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(place)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _evict(directory: Path) -> None:
    """Remove the least recently used files where all together are over the limit."""
    files = sorted(_files(directory))
    total = sum(size for _, size, _ in files)
    if total <= MAX_TOTAL_BYTES:
        return
    for _, size, path in files:
        if total <= MAX_TOTAL_BYTES * 3 // 4:
            return
        with suppress(OSError):
            path.unlink()
            total -= size


def _files(directory: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield time of last use, bytes and path of every entry, and of what a killed writer left behind."""
    for path in (*directory.glob(f"*/*{SUFFIX}"), *directory.glob("*/.*.new")):
        with suppress(OSError):  # another process may evict at the same time
            status = path.stat()
            yield status.st_mtime, status.st_size, path
