"""How predictions compare with what others measured: writes the tables of docs/accuracy.md.

    VGGPROF_CUDNN_PATH=DIR python benchmarks/accuracy.py

Every usable row of tests/data/measured/measured_memory.csv is predicted as for each torch of
`predicted.TORCHES`, whose cuDNN must all be at hand (see `vggprof cudnn list`). The prose of the page is
written by hand: only what stands between `<!-- name -->` and `<!-- end -->` is replaced. Nothing that was
measured goes into a prediction, except what a row says of the state that it began in.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from loops import ImageNetLoop, trace_loop
from measured import Kind, Row, rows
from predicted import TORCHES, Asked, Compared, asked, compared, run_as, softwares, whole_gpu

from vggprof.devices import Library, context_parts
from vggprof.memory.allocator.rules import BLOCK_BYTES, round_up
from vggprof.memory.run import End
from vggprof.trace import Phase
from vggprof.units import MIB

PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"
LIBRARIES: frozenset[Library] = frozenset({"cublas", "cudnn"})
Line: TypeAlias = Callable[[Row, str, Asked], list[str]]


def mib(nbytes: int) -> str:
    """Return *nbytes* in whole MiB."""
    return f"{nbytes / MIB:,.0f}"


def percent(off: float) -> str:
    """Return by how many percent a prediction is off."""
    return f"{off:+.1f} %"


def training(row: Row) -> str:
    """Return what was trained."""
    return f"{row.model}, {row.batch}, {row.optimizer}"


NVML = (
    "row",
    "training",
    "GPU",
    "measured",
    "predicted with",
    "reserved",
    "low",
    "likely",
    "high",
    "error",
    "",
)


def nvml_line(row: Row, name: str, found: Asked) -> list[str]:
    """Return what is reserved and what NVML would show, in MiB."""
    whole = whole_gpu(row, found)
    reserved = whole.predicted - found.room.context.likely - row.device.reserved_by_driver.likely
    sizes = (reserved, whole.low, whole.predicted, whole.high)
    return [*_nvml_label(row, name), *map(mib, sizes), percent(whole.off), _remark(row, reserved, whole)]


def bare_line(row: Row, _: str, found: Asked) -> list[str]:
    """Return the same had cuDNN taken no workspace."""
    reserved = found.bare.run(found.room.machine(End.LIKELY).capacity_bytes).peak_reserved_bytes
    likely = reserved + found.room.context.likely + row.device.reserved_by_driver.likely
    whole = Compared("whole GPU", row.nbytes, likely, 0, 2 * row.nbytes)
    remark = "" if row.kind is Kind.GPU else _remark(row, reserved, whole)
    label = _nvml_label(row, "no workspaces")
    return [*label, mib(reserved), "", mib(likely), "", percent(whole.off), remark]


def _nvml_label(row: Row, name: str) -> list[str]:
    return [str(row.number), training(row), row.device.name, mib(row.nbytes), name]


def _remark(row: Row, reserved: int, whole: Compared) -> str:
    """Say how what is reserved compares with a growth; whether the whole GPU's figure is in its range."""
    if row.kind is Kind.GROWTH:
        return f"reserved {percent(100 * (reserved / row.nbytes - 1))}"
    return "in range" if whole.inside else "out of range"


ALLOCATOR = ("row", "training", "predicted with", "what", "measured", "predicted", "error")


def allocator_line(row: Row, name: str, found: Asked) -> list[str]:
    """Return figures of torch's own counters, in MiB."""
    one = compared(row, found)
    figures = (one.what, mib(one.measured), mib(one.predicted), percent(one.off))
    return [str(row.number), training(row), name, *figures]


FORWARD = (
    "row",
    "network",
    "GPU",
    "measured",
    "predicted with",
    "tensors",
    "slack",
    "sum - measured",
    "BLAS",
)


def forward_line(row: Row, name: str, found: Asked) -> list[str]:
    """Return what the first forward pass adds, in bytes: tensors, what blocks have too much, BLAS's own."""
    tensors, slack, kept = forward_parts(found)
    label = [str(row.number), row.model, row.device.name, f"{row.nbytes:,}", name]
    return [*label, f"{tensors:,}", f"{slack:,}", f"{tensors + slack - row.nbytes:+,}", f"{kept:,}"]


def forward_parts(found: Asked) -> tuple[int, int, int]:
    """Return what the first forward pass adds: of tensors, of slack, and of workspaces that BLAS keeps."""
    old = {held.need for held in found.held(Phase.INPUT)}
    tensors = slack = kept = 0
    for held in found.held(Phase.FORWARD):
        if held.need in old or held.need is None:
            continue
        rounded = round_up(held.requested_bytes, BLOCK_BYTES)
        slack += held.block_bytes - rounded
        if held.need < len(found.line.trace.storages):
            tensors += rounded
        else:
            kept += rounded
    return tensors, slack, kept


UNSPLIT = (
    "row",
    "network",
    "GPU",
    "predicted with",
    "blocks that are larger than their tensors, and by how much",
)


def unsplit_line(row: Row, name: str, found: Asked) -> list[str]:
    """Return the blocks of the first forward pass that were not split."""
    layers = found.line.trace.layers
    old = {held.need for held in found.held(Phase.INPUT)}
    blocks = []
    for held in found.held(Phase.FORWARD):
        spare = held.block_bytes - round_up(held.requested_bytes, BLOCK_BYTES)
        if spare and held.need is not None and held.need not in old:
            layer = found.line.needs[held.need].layer
            blocks.append(f"{'loop' if layer is None else layers[layer].name} {spare:,}")
    return [str(row.number), row.model, row.device.name, name, "; ".join(blocks)]


# ---- tables


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def lines_of(kinds: Iterable[Kind], each: Line, last: Line | None = None) -> Iterator[list[str]]:
    """Yield a line for each usable row of *kinds* and software, and a *last* one for the row."""
    for row in rows(*kinds):
        if find_spec(row.package) is None:
            yield [str(row.number), f"{training(row)}: needs the package {row.package}"]
            continue
        for name in softwares():
            yield each(row, name, asked(row, name))
        if last is not None:
            yield last(row, name, asked(row, name))


SUMMARY = ("what", "predicted with", "rows", "within 3 %", "mean error", "worst error")
GROUPS = (
    ("whole GPU, A100", (Kind.GPU,), compared),
    ("growth of the whole GPU, RTX 3060, by what is reserved", (Kind.GROWTH,), compared),
    ("the same by the whole process", (Kind.GROWTH,), whole_gpu),
    ("torch's own counters, RTX 4090", (Kind.ALLOCATED, Kind.RESERVED), compared),
    ("first forward pass, A100 and T4", (Kind.FORWARD,), compared),
)


def summary() -> Iterator[list[str]]:
    """Yield how far off each group of rows is."""
    for title, kinds, compare in GROUPS:
        usable = [row for row in rows(*kinds) if find_spec(row.package)]
        for name in softwares():
            offs = [compare(row, asked(row, name)).off for row in usable]
            near, mean = sum(abs(off) <= 3 for off in offs), sum(map(abs, offs)) / len(offs)
            yield [title, name, str(len(offs)), str(near), f"{mean:.1f} %", percent(max(offs, key=abs))]


CONTEXT = ("GPU", "part", "low", "likely", "high")


def contexts() -> Iterator[list[str]]:
    """Yield what stands between what torch reserves and what NVML shows, in MiB."""
    for device in dict.fromkeys(row.device for row in rows(Kind.GPU, Kind.GROWTH)):
        parts = [(part.name, part.bytes) for part in context_parts(device, (13, 0), libraries=LIBRARIES)]
        for name, size in (*parts, ("the driver's share", device.reserved_by_driver)):
            yield [device.name, name, mib(size.low), mib(size.likely), mib(size.high)]


LOOPS = ("network, batch, optimizer", "reference loop", "a look first", "and a short batch", "and validation")


def other_loops() -> Iterator[list[str]]:
    """Yield what is reserved in MiB when the loop does more and more, at the largest batches."""
    more = ((False, False, 0), (True, False, 0), (True, True, 0), (True, True, 2))
    software = list(softwares().values())[-1]
    for row in rows(Kind.GPU):
        if row.batch == 128 and find_spec(row.package):
            found = [trace_loop(row.arch, row.batch, row.optimizer, ImageNetLoop(*what)) for what in more]
            peaks = [
                run_as(row, software, {row.batch: one}.__getitem__).run().peak_reserved_bytes for one in found
            ]
            yield [training(row), *map(mib, peaks)]


UNUSED = ("row", "network", "GPU", "measured", "why it is not compared")


def unused() -> Iterator[list[str]]:
    """Yield the rows that are not compared."""
    for row in rows(Kind.UNUSABLE):
        yield [str(row.number), row.model, row.device.name, mib(row.nbytes), row.why]


# ---- the page

TABLES: dict[str, Callable[[], str]] = {
    "summary": lambda: table(SUMMARY, summary()),
    "whole": lambda: table(NVML, lines_of([Kind.GPU], nvml_line, bare_line)),
    "growth": lambda: table(NVML, lines_of([Kind.GROWTH], nvml_line, bare_line)),
    "allocator": lambda: table(ALLOCATOR, lines_of([Kind.ALLOCATED, Kind.RESERVED], allocator_line)),
    "forward": lambda: table(FORWARD, lines_of([Kind.FORWARD], forward_line)),
    "unsplit": lambda: table(UNSPLIT, lines_of([Kind.FORWARD], unsplit_line)),
    "context": lambda: table(CONTEXT, contexts()),
    "loops": lambda: table(LOOPS, other_loops()),
    "unused": lambda: table(UNUSED, unused()),
}


def filled(page: str) -> str:
    """Return *page* with every table made anew."""
    for name, make in TABLES.items():
        before, _, after = page.partition(f"<!-- {name} -->\n")
        page = f"{before}<!-- {name} -->\n{make()}\n<!-- end -->{after.partition('<!-- end -->')[2]}"
    return page


def main() -> None:
    """Write the page."""
    missing = [release for release in TORCHES if f"torch {release}," not in " ".join(softwares())]
    if missing:
        sys.exit(f"the cuDNN of torch {' and '.join(missing)} is not at hand; set VGGPROF_CUDNN_PATH")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
