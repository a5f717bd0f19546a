"""Totals of several networks with ratios to the first, and their stages lined up by scale."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, prod

from vggprof.analyzers import LayerGroup, LayerTable, TensorMemory
from vggprof.errors import UsageError
from vggprof.trace import Setup


@dataclass(frozen=True, slots=True)
class ArchTotals:
    """What one network costs; None for what is not known."""

    name: str
    setup: Setup
    params: int
    macs: int  # forward
    macs_backward: int
    output_bytes: int
    saved_bytes: int
    peak_allocated_bytes: int  # of tensors
    largest_batch: int | None = None
    step_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Ratios:
    """Each total over the first network's; None where either is not known or the first's is 0."""

    name: str
    params: float | None
    macs: float | None
    macs_backward: float | None
    output_bytes: float | None
    saved_bytes: float | None
    peak_allocated_bytes: float | None
    largest_batch: float | None
    step_ms: float | None


@dataclass(frozen=True, slots=True)
class ScaleCell:
    """What one network does at one scale; all its stages there together."""

    stages: tuple[str, ...]
    layers: int
    params: int
    macs: int
    output_bytes: int
    saved_bytes: int


@dataclass(frozen=True, slots=True)
class ScaleLine:
    """One scale of the input across the networks."""

    halvings: int | None  # how often the input's extents were halved, to the nearest; None for the classifier
    cells: tuple[ScaleCell | None, ...]  # one a network; None where it has no stage at this scale


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more networks side by side."""

    archs: tuple[ArchTotals, ...]
    ratios: tuple[Ratios, ...]  # one a network, the first's are 1
    lines: tuple[ScaleLine, ...]  # from the input's own resolution down, the classifier last


def compare(tables: Sequence[LayerTable], memories: Sequence[TensorMemory]) -> Comparison:
    """Line up networks, each given by its layers and its memory in the same setup.

    Stages are lined up by how far the input was scaled down: AlexNet's 55 x 55 stands beside VGG's 56 x 56.
    Raises UsageError for fewer than two networks, or layers and memories that do not belong together.
    """
    if len(tables) < 2:
        raise UsageError(f"a comparison needs two networks or more; got {len(tables)}")
    about = [(table.arch, table.setup) for table in tables]
    if about != [(memory.arch, memory.setup) for memory in memories]:
        raise UsageError("layers and memories to compare must be of the same networks and setups, in order")
    archs = tuple(map(_totals, tables, memories))
    return Comparison(archs, tuple(_ratios(arch, archs[0]) for arch in archs), _lines(tables))


def _totals(table: LayerTable, memory: TensorMemory) -> ArchTotals:
    totals = table.totals
    return ArchTotals(
        name=table.arch,
        setup=table.setup,
        params=totals.params,
        macs=totals.macs,
        macs_backward=totals.macs_backward,
        output_bytes=totals.output_bytes,
        saved_bytes=totals.saved_bytes,
        peak_allocated_bytes=memory.peak.allocated_bytes,
    )


def _ratios(arch: ArchTotals, first: ArchTotals) -> Ratios:
    return Ratios(
        name=arch.name,
        params=_ratio(arch.params, first.params),
        macs=_ratio(arch.macs, first.macs),
        macs_backward=_ratio(arch.macs_backward, first.macs_backward),
        output_bytes=_ratio(arch.output_bytes, first.output_bytes),
        saved_bytes=_ratio(arch.saved_bytes, first.saved_bytes),
        peak_allocated_bytes=_ratio(arch.peak_allocated_bytes, first.peak_allocated_bytes),
        largest_batch=_ratio(arch.largest_batch, first.largest_batch),
        step_ms=_ratio(arch.step_ms, first.step_ms),
    )


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _lines(tables: Sequence[LayerTable]) -> tuple[ScaleLine, ...]:
    by_table = [_groups_by_scale(table) for table in tables]
    scales = {scale for groups in by_table for scale in groups}
    ordered = sorted(scales, key=lambda scale: (scale is None, scale or 0))
    return tuple(
        ScaleLine(scale, tuple(_cell(groups[scale]) if scale in groups else None for groups in by_table))
        for scale in ordered
    )


def _groups_by_scale(table: LayerTable) -> dict[int | None, list[LayerGroup]]:
    groups: defaultdict[int | None, list[LayerGroup]] = defaultdict(list)
    for group in table.groups:
        groups[_halvings(table, group)].append(group)
    return dict(groups)


def _halvings(table: LayerTable, group: LayerGroup) -> int | None:
    """Return how often the input was halved to reach a stage, to the nearest; None for the classifier."""
    resolution = group.stage.resolution
    if resolution is None:
        return None
    extents = next((shape[2:] for row in table.rows for shape in row.input_shapes), ())
    axes = len(resolution)
    if not resolution or len(extents) != axes:
        return 0
    return round(log2(prod(extents) / prod(resolution)) / axes)


def _cell(groups: Sequence[LayerGroup]) -> ScaleCell:
    totals = [group.totals for group in groups]
    return ScaleCell(
        stages=tuple(group.stage.name for group in groups),
        layers=sum(len(group.rows) for group in groups),
        params=sum(total.params for total in totals),
        macs=sum(total.macs for total in totals),
        output_bytes=sum(total.output_bytes for total in totals),
        saved_bytes=sum(total.saved_bytes for total in totals),
    )
