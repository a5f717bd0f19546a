"""Quantities as people write and read them: binary units for bytes, decimal ones for counts."""

import re

from vggprof.errors import UsageError

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40

_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?\s*", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def format_bytes(n: int) -> str:
    """Return *n* bytes for people: ``512 B``, ``1.50 KiB``, ``392.00 MiB``, ``11.76 GiB``."""
    size, sign = abs(n), "-" if n < 0 else ""
    if size < KIB:
        return f"{n} B"
    for unit, scale in (("KiB", KIB), ("MiB", MIB), ("GiB", GIB)):
        if size < 1024 * scale:
            return f"{sign}{size / scale:.2f} {unit}"
    return f"{sign}{size / TIB:.2f} TiB"


def parse_bytes(text: str) -> int:
    """Return the bytes that *text* names, every unit binary: ``8GiB``, ``8 GB``, ``10.5g``, ``4096``.

    Raises UsageError for anything else.
    """
    match = _BYTES.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a memory size; write it like 8GiB, 10.5GiB, 512MiB or a number of bytes"
        )
    number, prefix, _ = match.groups()
    return int(float(number) * 1024 ** _POWER[prefix.lower()])


def format_count(n: int) -> str:
    """Return a count for people: ``640``, ``73.86 K``, ``138.36 M``, ``15.47 G``."""
    for unit, scale in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if abs(n) >= scale:
            return f"{n / scale:.2f} {unit}"
    return str(n)
