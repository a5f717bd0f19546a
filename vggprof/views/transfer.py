"""Which layers inherit weights, as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import assert_never

from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.table import text_of
from vggprof.workloads.transfer import Transfer

_HEADER = ("layer", "source", "params")
_NOTES = (
    "After Simonyan & Zisserman 2015, section 3.1: the first four convolutions of net A and its three linear "
    "layers, each at its own place (stage, and position in it) in the deeper network.",
    "vggprof.transfer(...).apply(source_state, target_state) gives the state dict to load.",
)


def transfer(plan: Transfer, form: Form) -> str:
    """Return *plan* in *form*.

    As a table it begins like this::

    vgg11 into vgg16: weights

    124,603,752 of 138,357,544 parameters inherited: 90.1 %; 7 of 16 layers
    """
    match form:
        case Form.TABLE:
            return text_of(transfer_document(plan))
        case Form.MARKDOWN:
            return markdown_of(transfer_document(plan))
        case Form.CSV:
            return csv_of(_HEADER, ((layer.name, layer.source, layer.params) for layer in plan.layers))
        case Form.JSON:
            return json_of("transfer", _result(plan), arch=plan.target)
        case _:
            assert_never(form)


def transfer_document(plan: Transfer) -> Document:
    """Return what people read of *plan*."""
    table = Table(
        "Layers with weights",
        (
            Column("layer", Unit.TEXT),
            Column("begins with", Unit.TEXT),
            Column("params", Unit.EXACT),
            Column("share", Unit.PERCENT),
        ),
        tuple(_rows(plan)),
    )
    return Document(
        f"{plan.source} into {plan.target}: weights",
        (Lines((_summary(plan),)), table, Notes("How to read this", _NOTES)),
    )


def _summary(plan: Transfer) -> str:
    share = 100 * plan.inherited_params / plan.params
    layers = sum(layer.source is not None for layer in plan.layers)
    return (
        f"{plan.inherited_params:,} of {plan.params:,} parameters inherited: {share:.1f} %; "
        f"{layers} of {len(plan.layers)} layers"
    )


def _rows(plan: Transfer) -> Iterator[tuple[Cell, ...]]:
    for layer in plan.layers:
        begins = "random weights" if layer.source is None else f"{layer.source} of {plan.source}"
        yield layer.name, begins, layer.params, layer.params / plan.params


def _result(plan: Transfer) -> dict[str, Json]:
    return {
        "source": plan.source,
        "target": plan.target,
        "params": plan.params,
        "inherited_params": plan.inherited_params,
        "layers": [{**asdict(layer), "params": layer.params} for layer in plan.layers],
    }
