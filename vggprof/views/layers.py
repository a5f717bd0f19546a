"""The layer table as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.analyzers import Biggest, Field, LayerRow, LayerTable, Totals
from vggprof.forms import Form
from vggprof.units import format_bytes, format_count
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit, say_shape
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import CONVENTION, plural, say_setup
from vggprof.views.table import text_of

# Names of unexecuted parameters that the text spells out; JSON has them all.
SHOWN_NAMES = 6

TRAFFIC = "Read and written are the operands of each operator, forward, as if no cache kept any of them."

_COST_COLUMNS = (
    Column("layer", Unit.TEXT),
    Column("operator", Unit.TEXT),
    Column("output", Unit.SHAPE),
    Column("params", Unit.EXACT),
    Column("MACs fwd", Unit.COUNT),
    Column("MACs bwd", Unit.COUNT),
    Column("made", Unit.BYTES),
    Column("saved", Unit.BYTES),
    Column("most", Unit.TEXT),
)
_REACH_COLUMNS = (
    Column("layer", Unit.TEXT),
    Column("input", Unit.TEXT),
    Column("read", Unit.BYTES),
    Column("written", Unit.BYTES),
    Column("FLOPs/byte", Unit.NUMBER),
    Column("field", Unit.SAID),
    Column("stride", Unit.SAID),
    Column("offset", Unit.SAID),
)
_CSV_HEADER = (
    "name",
    "module",
    "op",
    "stage",
    "output_shape",
    "params",
    "macs",
    "macs_backward",
    "output_bytes",
    "saved_bytes",
    "read_bytes",
    "written_bytes",
    "arithmetic_intensity",
    "input_shapes",
    "receptive_field",
    "receptive_field_stride",
    "receptive_field_offset",
)


def layers(table: LayerTable, form: Form) -> str:
    """Return *table* in *form*.

    As a table it begins like this::

        lenet5: layers

        batch 1, training with momentum, fp32
        Parameters: 61,706
        MACs: 416.52 K forward, 715.44 K backward; FLOPs are 2 x MACs: 833.04 K forward
        Activations: 57.04 KiB of outputs made, 31.62 KiB saved for the backward pass

        Cost
        layer       operator   output      params  MACs fwd  MACs bwd       made      saved  most
        ----------  ---------  ----------  ------  --------  --------  ---------  ---------  ------
        c1          Conv2d     1x6x28x28      156  117.60 K  117.60 K  18.38 KiB          0
        ...
    """
    match form:
        case Form.TABLE:
            return text_of(layers_document(table))
        case Form.MARKDOWN:
            return markdown_of(layers_document(table))
        case Form.CSV:
            return csv_of(_CSV_HEADER, map(_csv_row, table.rows))
        case Form.JSON:
            return json_of("layers", _result(table), arch=table.arch, setup=table.setup)
        case _:
            assert_never(form)


def layers_document(table: LayerTable) -> Document:
    """Return what people read of *table*."""
    notes = (
        Notes("Not counted", tuple(_not_counted(table))),
        Notes("How to read this", (*CONVENTION, TRAFFIC)),
    )
    blocks: tuple[Block, ...] = (
        Lines((say_setup(table.setup), *_summary(table.totals))),
        Table("Cost", _COST_COLUMNS, tuple(_cost_rows(table))),
        Table("Traffic and receptive field", _REACH_COLUMNS, tuple(map(_reach_row, table.rows))),
        *(note for note in notes if note.items),
    )
    return Document(f"{table.arch}: layers", blocks)


def _summary(totals: Totals) -> Iterator[str]:
    yield f"Parameters: {totals.params:,}"
    yield (
        f"MACs: {format_count(totals.macs)} forward, {format_count(totals.macs_backward)} backward; "
        f"FLOPs are 2 x MACs: {format_count(2 * totals.macs)} forward"
    )
    yield (
        f"Activations: {format_bytes(totals.output_bytes)} of outputs made, "
        f"{format_bytes(totals.saved_bytes)} saved for the backward pass"
    )


def _cost_rows(table: LayerTable) -> Iterator[tuple[Cell, ...]]:
    biggest = table.biggest
    for row in table.rows:
        yield (
            row.name,
            row.op,
            row.output_shape,
            row.params,
            row.macs,
            row.macs_backward,
            row.output_bytes,
            row.saved_bytes,
            ", ".join(_most(biggest, row)),
        )
    sums = table.totals
    yield (
        "total",
        "",
        "",
        sums.params,
        sums.macs,
        sums.macs_backward,
        sums.output_bytes,
        sums.saved_bytes,
        "",
    )


def _most(biggest: Biggest, row: LayerRow) -> Iterator[str]:
    """Yield what *row* has most of."""
    if row is biggest.params:
        yield "params"
    if row is biggest.macs:
        yield "MACs"
    if row is biggest.saved_bytes:
        yield "saved"


def _reach_row(row: LayerRow) -> tuple[Cell, ...]:
    return (
        row.name,
        _shapes(row),
        row.read_bytes,
        row.written_bytes,
        row.arithmetic_intensity,
        *_field_cells(row.receptive_field),
    )


def _shapes(row: LayerRow) -> str:
    return " ".join(map(say_shape, row.input_shapes))


def _field_cells(fields: tuple[Field, ...] | None) -> tuple[Cell, Cell, Cell]:
    """Return size, stride and offset; one number each where every axis has the same."""
    if fields is None:
        return None, None, None
    axes = fields[:1] if len(set(fields)) == 1 else fields
    return _axes(axes)


def _axes(fields: tuple[Field, ...]) -> tuple[Cell, Cell, Cell]:
    return (
        "x".join(f"{field.size}" for field in fields),
        "x".join(f"{field.stride}" for field in fields),
        "x".join(f"{field.offset}" for field in fields),
    )


def _not_counted(table: LayerTable) -> Iterator[str]:
    for unruled in table.ledger:
        calls = plural(unruled.calls, "call")
        yield f"{unruled.operator} ({calls}) has no MAC rule: its MACs are missing here."
    if table.unexecuted:
        names = ", ".join(parameter.name for parameter in table.unexecuted[:SHOWN_NAMES])
        more = (
            f" and {len(table.unexecuted) - SHOWN_NAMES} more" if len(table.unexecuted) > SHOWN_NAMES else ""
        )
        count = plural(table.totals.unexecuted_params, "parameter")
        yield f"{count} of the total are registered but no layer reads them: {names}{more}."


def _numbers(row: LayerRow) -> dict[str, Cell]:
    """Return what CSV and JSON say alike, by name."""
    return {
        "name": row.name,
        "module": row.module,
        "op": row.op,
        "stage": row.stage,
        "output_shape": row.output_shape,
        "params": row.params,
        "macs": row.macs,
        "macs_backward": row.macs_backward,
        "output_bytes": row.output_bytes,
        "saved_bytes": row.saved_bytes,
        "read_bytes": row.read_bytes,
        "written_bytes": row.written_bytes,
        "arithmetic_intensity": row.arithmetic_intensity,
    }


def _csv_row(row: LayerRow) -> tuple[Cell, ...]:
    fields = (None, None, None) if row.receptive_field is None else _axes(row.receptive_field)
    return (*_numbers(row).values(), _shapes(row), *fields)


def _result(table: LayerTable) -> dict[str, Json]:
    return {
        "layers": [_layer_json(row) for row in table.rows],
        "totals": {**asdict(table.totals), "arithmetic_intensity": table.totals.arithmetic_intensity},
        "biggest": {
            "params": _name(table.biggest.params),
            "macs": _name(table.biggest.macs),
            "saved_bytes": _name(table.biggest.saved_bytes),
        },
        "unexecuted": [{"name": one.name, "params": one.elements} for one in table.unexecuted],
        "unruled": [asdict(unruled) for unruled in table.ledger],
    }


def _layer_json(row: LayerRow) -> dict[str, Json]:
    fields = None if row.receptive_field is None else [asdict(field) for field in row.receptive_field]
    return {**_numbers(row), "input_shapes": row.input_shapes, "receptive_field": fields}


def _name(row: LayerRow | None) -> str | None:
    return None if row is None else row.name
