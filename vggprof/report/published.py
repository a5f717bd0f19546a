"""What papers say of shipped specs, to be read beside our own numbers."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True, slots=True)
class Published:
    """What was published of one network; None for what was not.

    The errors are of one network on ImageNet's validation set at a single test scale: trained at 256 pixels
    and tested at 256, and trained at 256 to 512 pixels and tested at 384.
    """

    params_millions: int
    top5_percent: float | None
    top5_jittered_percent: float | None
    source: str


def published(arch: str) -> Published | None:
    """Return what was published of the shipped spec *arch*; None of any other, and of an edited one."""
    return _rows().get(arch)


@cache
def _rows() -> dict[str, Published]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {row["name"]: _row(row) for row in csv.DictReader(file)}


def _row(row: dict[str, str]) -> Published:
    return Published(
        params_millions=int(row["params_millions"]),
        top5_percent=_number(row["top5_percent"]),
        top5_jittered_percent=_number(row["top5_jittered_percent"]),
        source=row["source"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
