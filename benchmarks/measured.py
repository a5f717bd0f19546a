"""What others measured: tests/data/measured/measured_memory.csv as values."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from vggprof.devices import Device, find_device
from vggprof.trace import Optimizer
from vggprof.units import MIB

MEASURED = Path(__file__).parents[1] / "tests" / "data" / "measured" / "measured_memory.csv"


class Kind(Enum):
    """What a row measured, by how the name of its metric begins."""

    GPU = "max GPU memory"  # NVML's used memory of the whole GPU
    GROWTH = "xMem"  # how far that grew since the loop began
    ALLOCATED = "max_memory_allocated"
    RESERVED = "memory_reserved"  # when the loop was done
    FORWARD = "memory_allocated delta"  # over the first forward pass
    UNUSABLE = "NVML device used"  # where other things use it too


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    number: int
    kind: Kind
    model: str
    arch: str
    batch: int
    optimizer: Optimizer
    gpu: str
    nbytes: int
    metric: str
    notes: str

    @property
    def package(self) -> str:
        """The package that the network comes from."""
        return self.arch.partition(".")[0]

    @property
    def device(self) -> Device:
        """The GPU."""
        return find_device(self.gpu)

    @property
    def start_bytes(self) -> int:
        """What was allocated when the peak statistics were reset."""
        found = re.search(r"reset with ([\d.]+) MiB", self.notes)
        return round(float(found[1]) * MIB) if found else 0

    @property
    def why(self) -> str:
        """What the metric says of itself in brackets."""
        return self.metric.partition("(")[2].rstrip(")")


@cache
def rows(*kinds: Kind) -> tuple[Row, ...]:
    """Return the measurements of *kinds*; of all kinds where none is named."""
    with MEASURED.open(encoding="utf-8", newline="") as file:
        found = [_row(fields) for fields in csv.DictReader(file)]
    return tuple(row for row in found if row.kind in (kinds or Kind))


def _row(fields: Mapping[str, str]) -> Row:
    timm = "timm" in fields["arch_detail"]
    factory = "timm.models.xception:legacy_xception" if timm else f"torchvision.models:{fields['model']}"
    classes = re.search(r"(\d+) cl", fields["arch_detail"])
    return Row(
        number=int(fields["id"]),
        kind=next(kind for kind in Kind if fields["metric"].startswith(kind.value)),
        model=fields["model"],
        arch=f"{factory}@input={fields['input_chw']},num_classes={classes[1] if classes else 1000}",
        batch=int(fields["batch"]),
        optimizer=Optimizer(fields["optimizer"].split()[0].lower()),
        gpu=fields["gpu"].partition(" (")[0],
        nbytes=int(fields["value_bytes"]),
        metric=fields["metric"],
        notes=fields["notes"],
    )
