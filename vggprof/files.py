"""Files that are written whole or not at all."""

import stat
from pathlib import Path
from secrets import token_hex


def write_whole(path: Path, content: bytes) -> None:
    """Write *content* into the file *path*, by way of a new file beside it that is moved there.

    A file that was there keeps its rights, a link what it points to; a device or a pipe is written as it is.
    Raises OSError, and then leaves everything as it was.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    fresh = target.with_name(f".{target.name}.{token_hex(4)}")
    try:
        with fresh.open("xb") as file:
            file.write(content)
        if target.exists():
            fresh.chmod(stat.S_IMODE(target.stat().st_mode))
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
