"""A comparison as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.compare import ArchTotals, Comparison, ScaleCell, ScaleLine
from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Cell, Column, Document, Lines, Notes, Table, Unit, say
from vggprof.views.json import Json, json_of
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
    ("peak_allocated_bytes", "peak of tensors", Unit.BYTES),
    ("largest_batch", "largest batch", Unit.EXACT),
    ("step_ms", "step, ms", Unit.NUMBER),
)
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
_CSV_HEADER = (
    "name",
    "group",
    "layers",
    "params",
    "macs",
    "macs_backward",
    "output_bytes",
    "saved_bytes",
    "peak_allocated_bytes",
    "largest_batch",
    "step_ms",
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
            return text_of(_document(comparison))
        case Form.MARKDOWN:
            return markdown_of(_document(comparison))
        case Form.CSV:
            return csv_of(_CSV_HEADER, _csv_rows(comparison))
        case Form.JSON:
            names = [arch.name for arch in comparison.archs]
            return json_of("compare", _result(comparison), arch=names, setup=comparison.archs[0].setup)
        case _:
            assert_never(form)


def _document(comparison: Comparison) -> Document:
    first, *others = comparison.archs
    return Document(
        f"{', '.join(arch.name for arch in others)} against {first.name}",
        (
            Lines((say_setup(first.setup),)),
            Table("Totals", _columns(comparison), tuple(_total_rows(comparison))),
            Table("By resolution", _SCALE_COLUMNS, tuple(_scale_rows(comparison))),
            Notes("How to read this", (*CONVENTION, TENSORS_ONLY)),
        ),
    )


def _columns(comparison: Comparison) -> tuple[Column, ...]:
    first, *others = comparison.archs
    return (
        Column("quantity", Unit.TEXT),
        *(Column(arch.name, Unit.SAID) for arch in comparison.archs),
        *(Column(f"{arch.name} / {first.name}", Unit.RATIO) for arch in others),
    )


def _total_rows(comparison: Comparison) -> Iterator[tuple[Cell, ...]]:
    """Yield a row for each quantity that is known of any network."""
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


def say_scale(halvings: int | None) -> str:
    """Return a scale of the input for people: ``full``, ``1/4``, ``2/1`` or ``classifier``."""
    if halvings is None:
        return "classifier"
    if halvings == 0:
        return "full"
    return f"1/{2**halvings}" if halvings > 0 else f"{2**-halvings}/1"


def _csv_rows(comparison: Comparison) -> Iterator[tuple[Cell, ...]]:
    """Yield for each network its totals, then its groups; what is not known of a group is empty."""
    for place, arch in enumerate(comparison.archs):
        yield arch.name, "total", None, *(getattr(arch, field) for field, _, _ in _QUANTITIES)
        for line in comparison.lines:
            cell = line.cells[place]
            if cell is not None:
                layers, params, macs, made, saved = _scale_numbers(cell)
                group = say_scale(line.halvings)
                yield arch.name, group, layers, params, macs, None, made, saved, None, None, None


def _result(comparison: Comparison) -> dict[str, Json]:
    return {
        "archs": [_arch_json(arch) for arch in comparison.archs],
        "ratios": [asdict(ratios) for ratios in comparison.ratios],
        "groups": [_line_json(line) for line in comparison.lines],
    }


def _arch_json(arch: ArchTotals) -> dict[str, Json]:
    return {"name": arch.name, **{field: getattr(arch, field) for field, _, _ in _QUANTITIES}}


def _line_json(line: ScaleLine) -> dict[str, Json]:
    return {
        "halvings": line.halvings,
        "archs": [None if cell is None else asdict(cell) for cell in line.cells],
    }
