"""A comparison as text."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from vggprof.compare import (
    Against,
    Alignment,
    Cause,
    Comparison,
    Finding,
    Quantity,
    ScaleCell,
    Split,
    say_scale,
)
from vggprof.forms import Form
from vggprof.trace import Setup
from vggprof.views.compare_json import result
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say
from vggprof.views.json import json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import CONVENTION, TENSORS_ONLY, say_setup
from vggprof.views.table import text_of

# Field of ArchTotals and Ratios, what it is called, and how it is said.
_QUANTITIES = (
    ("params", "parameters", Unit.EXACT),
    ("macs", "MACs forward", Unit.COUNT),
    ("macs_backward", "MACs backward", Unit.COUNT),
    ("output_bytes", "outputs made", Unit.BYTES),
    ("saved_bytes", "saved for backward", Unit.BYTES),
    ("peak_allocated_bytes", "peak allocated", Unit.BYTES),
    ("peak_reserved_bytes", "peak reserved", Unit.BYTES),
    ("largest_batch", "largest batch", Unit.EXACT),
    ("arithmetic_intensity", "FLOPs / byte", Unit.NUMBER),
    ("launches", "operators a step", Unit.EXACT),
    ("step_ms", "step, ms", Unit.NUMBER),
)
_SPLITS = {
    Quantity.MACS: "MACs",
    Quantity.OUTPUT_BYTES: "made",
    Quantity.SAVED_BYTES: "saved",
    Quantity.PEAK_ALLOCATED_BYTES: "allocated",
    Quantity.PEAK_RESERVED_BYTES: "reserved",
    Quantity.STEP_MS: "time",
}
_SCALE_COLUMNS = (
    Column("resolution", Unit.TEXT),
    Column("network", Unit.TEXT),
    Column("stages", Unit.TEXT),
    Column("layers", Unit.EXACT),
    Column("params", Unit.EXACT),
    Column("MACs", Unit.COUNT),
    Column("made", Unit.BYTES),
    Column("saved", Unit.BYTES),
)
_CSV_HEADER = ("name", "group", "layers", *(field for field, _, _ in _QUANTITIES))
_FACTORS = (
    "Factors say by how much each cause, and each resolution, multiplies a quantity; down a column their "
    "product is the ratio (log-mean Divisia index, docs/attribution.md). Peaks are split by what is held."
)
_ALIGNED = {
    Alignment.ORDER: (
        "Layers are held against those as far along the way from the input, and what a pair differs by "
        "counts at the resolution of the second network's."
    ),
    Alignment.RESOLUTION: "Layers are held against those at the same resolution, relative to the input's.",
}
_TIMES = (
    "The time is split by resolution, without layers that both have: more work is MACs of forward and "
    "backward, and all the time where one network has none; time per MAC below 1 is work done better; "
    "outside of layers are the optimizer, the loss, and waiting."
)
_PEAK_ON_CARD = (
    "Peaks are of PyTorch's allocator on that GPU, workspaces included (those that are not known at the high "
    "end of their range), the CUDA context not. Where a training does not fit they are those of a card "
    "without end."
)


def compare(comparison: Comparison, form: Form) -> str:
    """Return *comparison* in *form*.

    As a table it begins like this::

        vgg11 against alexnet

        batch 1, training with momentum, fp32

        Totals
        quantity               alexnet        vgg11  vgg11 / alexnet
        ------------------  ----------  -----------  ---------------
        parameters          61,100,840  132,863,336           2.17 x
        MACs forward          714.19 M       7.61 G          10.65 x
        ...
    """
    match form:
        case Form.TABLE:
            return text_of(compare_document(comparison))
        case Form.MARKDOWN:
            return markdown_of(compare_document(comparison))
        case Form.CSV:
            return csv_of(_CSV_HEADER, _csv_rows(comparison))
        case Form.JSON:
            names = [arch.name for arch in comparison.archs]
            return json_of("compare", result(comparison), arch=names, setup=_common_setup(comparison))
        case _:
            assert_never(form)


def compare_document(comparison: Comparison) -> Document:
    """Return what people read of *comparison*; how to read it comes last."""
    first, *others = comparison.archs
    on = () if comparison.gpu is None else (f"on {comparison.gpu}",)
    times = dict.fromkeys(f"Time {source}" for source in comparison.time_sources if source is not None)
    aligned = dict.fromkeys(_ALIGNED[each.alignment] for each in comparison.against)
    shown = {split.quantity for against in comparison.against for split in _splits(against)}
    timed = (_TIMES,) if Quantity.STEP_MS in shown else ()
    peaks = TENSORS_ONLY if comparison.gpu is None else _PEAK_ON_CARD
    blocks: tuple[Block, ...] = (
        Lines((*_say_setups(comparison), *on, *times)),
        Table("Totals", _columns(comparison), tuple(_total_rows(comparison))),
        *(block for each in comparison.against for block in _why(each, comparison)),
        Table("By resolution", _SCALE_COLUMNS, tuple(_scale_rows(comparison))),
        Notes("How to read this", (_FACTORS, *timed, *aligned, *CONVENTION, peaks)),
        Notes("Assumed", comparison.assumptions),
    )
    title = f"{', '.join(arch.name for arch in others)} against {first.name}"
    return Document(title, tuple(block for block in blocks if not isinstance(block, Notes) or block.items))


def _common_setup(comparison: Comparison) -> Setup | None:
    """Return the setup of all networks; None where that of some, which only traces can have, is another."""
    first, *others = (arch.setup for arch in comparison.archs)
    return first if all(other == first for other in others) else None


def _say_setups(comparison: Comparison) -> Iterator[str]:
    common = _common_setup(comparison)
    if common is not None:
        yield say_setup(common)
    else:
        yield from (f"{arch.name}: {say_setup(arch.setup)}" for arch in comparison.archs)


def _splits(against: Against) -> list[Split]:
    """Return what the ratios are made of; without those to nothing, and of nothing."""
    return [split for split in against.splits if split.first and split.second]


def _why(against: Against, comparison: Comparison) -> Iterator[Block]:
    """Yield what the ratios of one network are made of, and what that says."""
    first = comparison.archs[0].name
    scales = [say_scale(line.halvings) for line in comparison.lines]
    splits = _splits(against)
    title = f"{against.name} / {first}"
    if splits:
        columns = [Column(_SPLITS[split.quantity], Unit.RATIO) for split in splits]
        ratios = tuple(split.ratio for split in splits)
        causes = (*_cause_rows(splits), ("product", *ratios))
        yield Table(f"{title}: by cause", (Column("cause", Unit.TEXT), *columns), causes)
        stages = (*_stage_rows(splits, (*scales, None)), ("product", *ratios))
        yield Table(f"{title}: by resolution", (Column("resolution", Unit.TEXT), *columns), stages)
    beliefs = [finding for finding in against.findings if finding.belief]
    said = tuple(finding.text for finding in against.findings if not finding.belief)
    yield Notes(f"What the numbers say of {title}", said)
    yield Notes("What is commonly believed", tuple(map(_say_belief, beliefs)))


def _cause_rows(splits: list[Split]) -> Iterator[tuple[Cell, ...]]:
    factors = [split.causes for split in splits]
    for cause in Cause:
        if any(cause in of_quantity for of_quantity in factors):
            yield cause.said, *(of_quantity.get(cause) for of_quantity in factors)


def _stage_rows(splits: list[Split], stages: Sequence[str | None]) -> Iterator[tuple[Cell, ...]]:
    factors = [split.stages for split in splits]
    for stage in stages:
        if any(stage in of_quantity for of_quantity in factors):
            yield stage or "no layer", *(of_quantity.get(stage) for of_quantity in factors)


def _say_belief(finding: Finding) -> str:
    return f"{'True' if finding.holds else 'False'}: {finding.claim}. {finding.text}"


def _columns(comparison: Comparison) -> tuple[Column, ...]:
    first, *others = comparison.archs
    return (
        Column("quantity", Unit.TEXT),
        *(Column(arch.name, Unit.SAID) for arch in comparison.archs),
        *(Column(f"{arch.name} / {first.name}", Unit.RATIO) for arch in others),
    )


def _total_rows(comparison: Comparison) -> Iterator[tuple[Cell, ...]]:
    """Yield whether they fit, where there is a card, and a row for each quantity that is known of any."""
    if comparison.gpu is not None:
        yield "verdict", *(arch.status for arch in comparison.archs), *((None,) * len(comparison.against))
    for field, name, unit in _QUANTITIES:
        values = [getattr(arch, field) for arch in comparison.archs]
        if any(value is not None for value in values):
            ratios = (getattr(ratio, field) for ratio in comparison.ratios[1:])
            yield name, *(say(value, unit) for value in values), *ratios


def _scale_rows(comparison: Comparison) -> Iterator[tuple[Cell, ...]]:
    for line in comparison.lines:
        for arch, cell in zip(comparison.archs, line.cells, strict=True):
            stages = None if cell is None else ", ".join(cell.stages)
            yield say_scale(line.halvings), arch.name, stages, *_scale_numbers(cell)


def _scale_numbers(cell: ScaleCell | None) -> tuple[Cell, ...]:
    if cell is None:
        return (None,) * 5
    return cell.layers, cell.params, cell.macs, cell.output_bytes, cell.saved_bytes


def _csv_rows(comparison: Comparison) -> Iterator[tuple[Cell, ...]]:
    """Yield for each network its totals, then its groups; what is not known of a group is empty."""
    for place, arch in enumerate(comparison.archs):
        yield arch.name, "total", None, *(getattr(arch, field) for field, _, _ in _QUANTITIES)
        for line in comparison.lines:
            cell = line.cells[place]
            if cell is not None:
                known = (getattr(cell, field, None) for field, _, _ in _QUANTITIES)
                yield arch.name, say_scale(line.halvings), cell.layers, *known
