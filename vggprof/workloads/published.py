"""Errors on ImageNet that the VGG paper published, by configuration, scales and method."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from vggprof.spec.arch import ShippedArch, parse_arch
from vggprof.spec.shipped import aliases

_TABLE: Final = Path(__file__).with_name("published_errors.csv")

# Columns of Table 1 by the names of our specs, shallow to deep.
CONFIGS: Final = {
    "vgg11": "A",
    "vgg11-lrn": "A-LRN",
    "vgg13": "B",
    "vgg16-1x1": "C",
    "vgg16": "D",
    "vgg19": "E",
}

SINGLE, MULTIPLE, METHODS = 3, 4, 5  # tables: one test scale, several, ways to evaluate


@dataclass(frozen=True, slots=True)
class PublishedError:
    """Errors of one trained network on ILSVRC-2012's validation set, in per cent."""

    table: int
    config: str  # column of the paper's Table 1
    train_scale: str  # S: "256", or "[256;512]" where it was drawn anew for each image
    test_scales: tuple[int, ...]  # Q
    method: str  # "single test scale", "multiple test scales", "dense", "multi-crop", "multi-crop & dense"
    top1_percent: float
    top5_percent: float
    source: str


@dataclass(frozen=True, slots=True)
class PublishedDifference:
    """How much more one network errs than another, in the paper's words."""

    config: str  # the better one, a column of Table 1
    other: str
    top1_percent_higher: float
    method: str
    source: str


STACKS_AGAINST_SINGLE: Final = PublishedDifference(
    config="B",
    other="B with each pair of 3x3 convolutions replaced by a single 5x5 one",
    top1_percent_higher=7.0,
    method="centre crop",
    source="Simonyan & Zisserman 2015, arXiv:1409.1556v6, section 4.1",
)


def config_of(arch: str) -> str | None:
    """Return the paper's configuration that *arch* is; None for another, or one with anything changed."""
    named = parse_arch(arch)
    if not isinstance(named, ShippedArch) or named.parameters or named.edits:
        return None
    return CONFIGS.get(aliases().get(named.name, named.name))


@cache
def published_errors() -> tuple[PublishedError, ...]:
    """Return Tables 3 to 5: single networks."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(_error(row) for row in csv.DictReader(file) if int(row["table"]) <= METHODS)


def _error(row: dict[str, str]) -> PublishedError:
    return PublishedError(
        table=int(row["table"]),
        config=row["config"],
        train_scale=row["train_scale"],
        test_scales=tuple(map(int, row["test_scales"].split(","))),
        method=row["method"],
        top1_percent=float(row["top1_val"]),
        top5_percent=float(row["top5_val"]),
        source=row["source"],
    )


def errors_of(config: str | None, *, tables: tuple[int, ...]) -> tuple[PublishedError, ...]:
    """Return what *tables* say of *config*, in the paper's order; nothing for None."""
    return tuple(error for error in published_errors() if error.config == config and error.table in tables)
