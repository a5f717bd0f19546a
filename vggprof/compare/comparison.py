"""Totals of several networks with ratios to the first, their stages lined up by scale, why they differ."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields

from vggprof.analyzers import LayerGroup, LayerTable
from vggprof.compare.attribution import Split, alignment_of, splits
from vggprof.compare.differences import Difference, differences
from vggprof.compare.findings import findings
from vggprof.compare.pair import Finding
from vggprof.compare.profile import Profile
from vggprof.compare.scales import scales
from vggprof.compare.terms import Alignment
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
    peak_allocated_bytes: int  # on the card, or of tensors alone where there is none
    peak_reserved_bytes: int | None = None
    status: str | None = None  # whether it fits the card; where not, peaks are those of a card without end
    largest_batch: int | None = None
    arithmetic_intensity: float | None = None  # FLOPs a byte moved, forward
    launches: int | None = None  # operators of a step that work on numbers
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
    peak_reserved_bytes: float | None
    largest_batch: float | None
    arithmetic_intensity: float | None
    launches: float | None
    step_ms: float | None


@dataclass(frozen=True, slots=True)
class ScaleCell:
    """What one network does at one scale; all its stages there together."""

    stages: tuple[str, ...]
    layers: int
    params: int
    macs: int
    macs_backward: int
    output_bytes: int
    saved_bytes: int


@dataclass(frozen=True, slots=True)
class ScaleLine:
    """One scale of the input across the networks."""

    halvings: int | None  # how often the input's extents were halved, to the nearest; None for the classifier
    cells: tuple[ScaleCell | None, ...]  # one a network; None where it has no stage at this scale


@dataclass(frozen=True, slots=True)
class Against:
    """Why one network costs more or less than the first."""

    name: str
    alignment: Alignment
    splits: tuple[Split, ...]
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more networks side by side."""

    archs: tuple[ArchTotals, ...]
    ratios: tuple[Ratios, ...]  # one a network, the first's are 1
    lines: tuple[ScaleLine, ...]  # from the input's own resolution down, the classifier last
    against: tuple[Against, ...]  # one a network but the first
    gpu: str | None = None  # name of the card; without one peaks are of tensors alone
    time_sources: tuple[str | None, ...] = ()  # who knows the time, one a network; None for nobody
    assumptions: tuple[str, ...] = ()  # that the predictions for the card rest on


def compare(profiles: Sequence[Profile], alignment: Alignment | None = None) -> Comparison:
    """Line up networks, each against the first.

    Stages are lined up by how far the input was scaled down: AlexNet's 55 x 55 stands beside VGG's 56 x 56.
    Raises UsageError for fewer than two networks, or where some are on a card and others not.
    """
    if len(profiles) < 2:
        raise UsageError(f"a comparison needs two networks or more; got {len(profiles)}")
    gpus = {None if each.card is None else each.card.prediction.device.name for each in profiles}
    if len(gpus) > 1:
        raise UsageError("networks to compare must be on the same card, or all on none")
    archs = tuple(map(_totals, profiles))
    return Comparison(
        archs=archs,
        ratios=tuple(_ratios(arch, archs[0]) for arch in archs),
        lines=_lines([each.table for each in profiles]),
        against=tuple(_against(profiles[0], each, alignment) for each in profiles[1:]),
        gpu=gpus.pop(),
        time_sources=tuple(None if each.times is None else each.times.source for each in profiles),
        assumptions=tuple(dict.fromkeys(said for each in profiles for said in each.assumptions)),
    )


def _against(first: Profile, second: Profile, alignment: Alignment | None) -> Against:
    aligned = alignment or alignment_of(first, second)
    split = splits(first, second, aligned)
    return Against(
        name=second.table.arch,
        alignment=aligned,
        splits=split,
        differences=differences(first, second),
        findings=findings(first, second, split),
    )


def _totals(profile: Profile) -> ArchTotals:
    totals, card = profile.table.totals, profile.card
    return ArchTotals(
        name=profile.table.arch,
        setup=profile.table.setup,
        params=totals.params,
        macs=totals.macs,
        macs_backward=totals.macs_backward,
        output_bytes=totals.output_bytes,
        saved_bytes=totals.saved_bytes,
        peak_allocated_bytes=profile.peak_allocated_bytes,
        peak_reserved_bytes=profile.peak_reserved_bytes,
        status=None if card is None else card.prediction.status.value,
        largest_batch=None if card is None else card.largest_batch,
        arithmetic_intensity=totals.arithmetic_intensity,
        launches=profile.launches,
        step_ms=None if profile.times is None else profile.times.step_ms,
    )


def _ratios(arch: ArchTotals, first: ArchTotals) -> Ratios:
    names = [field.name for field in fields(Ratios) if field.name != "name"]
    return Ratios(arch.name, **{name: _ratio(getattr(arch, name), getattr(first, name)) for name in names})


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
    of_stage = scales(table)
    for group in table.groups:
        groups[of_stage[group.stage.name]].append(group)
    return dict(groups)


def _cell(groups: Sequence[LayerGroup]) -> ScaleCell:
    totals = [group.totals for group in groups]
    return ScaleCell(
        stages=tuple(group.stage.name for group in groups),
        layers=sum(len(group.rows) for group in groups),
        params=sum(total.params for total in totals),
        macs=sum(total.macs for total in totals),
        macs_backward=sum(total.macs_backward for total in totals),
        output_bytes=sum(total.output_bytes for total in totals),
        saved_bytes=sum(total.saved_bytes for total in totals),
    )
