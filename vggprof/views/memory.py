"""The memory of tensors as text."""

from collections import defaultdict
from collections.abc import Iterator
from typing import assert_never

from vggprof.analyzers import BLOCK_BYTES, TensorMemory
from vggprof.forms import Form
from vggprof.trace import Kind
from vggprof.units import format_bytes
from vggprof.views.csv import csv_of
from vggprof.views.document import Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import NOT_MODELLED, TENSORS_ONLY, say_setup
from vggprof.views.table import text_of

_CSV_HEADER = ("what", "step", "phase", "layer", "kind", "allocated_bytes")


def memory(memory: TensorMemory, form: Form) -> str:
    """Return *memory* in *form*.

    As a table it begins like this::

        vgg16: memory of tensors

        batch 32, training with momentum, fp32
        Peak: 3.71 GiB in step 1, backward, at relu4_3 (aten.threshold_backward.default)
        These are bytes of tensors alone: library workspaces (cuDNN, cuBLAS), what the allocator holds back
          and the CUDA context are not in yet, so a GPU needs more than this.

        What the peak is made of
        kind                  bytes    share
        ---------------  ----------  -------
        parameters       527.79 MiB   13.9 %
        gradients        498.67 MiB   13.1 %
        ...
    """
    match form:
        case Form.TABLE:
            return text_of(_document(memory))
        case Form.MARKDOWN:
            return markdown_of(_document(memory))
        case Form.CSV:
            return csv_of(_CSV_HEADER, _csv_rows(memory))
        case Form.JSON:
            return json_of("memory", _result(memory), arch=memory.arch, setup=memory.setup)
        case _:
            assert_never(form)


def _document(memory: TensorMemory) -> Document:
    return Document(
        f"{memory.arch}: memory of tensors",
        (
            Lines((say_setup(memory.setup), _peak(memory), TENSORS_ONLY)),
            _kinds(memory),
            _layers(memory),
            _marks(memory),
            Notes("Assumed", assumptions(memory)),
        ),
    )


def _peak(memory: TensorMemory) -> str:
    peak = memory.peak
    when = "while the model moves in" if peak.step is None else f"in step {peak.step}, {peak.phase.value}"
    where = f", at {peak.layer}" if peak.layer else ""
    what = f" ({peak.op})" if peak.op else ""
    return f"Peak: {format_bytes(peak.allocated_bytes)} {when}{where}{what}"


def _kinds(memory: TensorMemory) -> Table:
    total = memory.peak.allocated_bytes
    rows = [(kind.value, nbytes) for kind, nbytes in memory.breakdown_bytes.items() if nbytes]
    return Table(
        "What the peak is made of",
        (Column("kind", Unit.TEXT), Column("bytes", Unit.BYTES), Column("share", Unit.PERCENT)),
        (*((say_kind(kind), nbytes, nbytes / total) for kind, nbytes in rows), ("total", total, 1.0)),
    )


def _layers(memory: TensorMemory) -> Table:
    """Return a row for each layer that has something at the peak, a column for each kind that there is."""
    kinds = [kind for kind, nbytes in memory.breakdown_bytes.items() if nbytes]
    by_layer: defaultdict[str | None, dict[Kind, int]] = defaultdict(dict)
    for share in memory.shares:
        by_layer[share.layer][share.kind] = share.allocated_bytes
    return Table(
        "By layer, at the peak",
        (
            Column("layer", Unit.TEXT),
            *(Column(say_kind(kind), Unit.BYTES) for kind in kinds),
            Column("total", Unit.BYTES),
        ),
        tuple(
            (layer or "(no layer)", *(parts.get(kind, 0) for kind in kinds), sum(parts.values()))
            for layer, parts in by_layer.items()
        ),
    )


def _marks(memory: TensorMemory) -> Table:
    """Return a row for each step, a column for each mark; the first row is from before the first step."""
    phases = tuple(dict.fromkeys(mark.phase for mark in memory.marks))
    by_step: defaultdict[int | None, dict[str, int]] = defaultdict(dict)
    for mark in memory.marks:
        by_step[mark.step][mark.phase] = mark.allocated_bytes
    return Table(
        "Allocated at the end of each phase, steps counted from 0",
        (Column("step", Unit.EXACT), *(Column(phase, Unit.BYTES) for phase in phases)),
        tuple((step, *(at.get(phase) for phase in phases)) for step, at in by_step.items()),
    )


def say_kind(kind: str) -> str:
    """Return a kind of memory for people: ``optimizer state``."""
    return kind.replace("_", " ")


def assumptions(memory: TensorMemory) -> tuple[str, ...]:
    """Return what the numbers rest on and what they leave out, a sentence each."""
    return tuple(_assumptions(memory))


def _assumptions(memory: TensorMemory) -> Iterator[str]:
    if memory.setup.training:
        yield (
            "The loop is the plain one: the batch moves in, zero_grad(set_to_none=True), forward, "
            "cross entropy, backward, step; the batch, the output and the loss stay bound until the next "
            "step binds them again."
        )
        yield "The optimizer works on all parameters at once (foreach), as torch.optim does on CUDA."
    else:
        yield (
            "Inference is in eval mode under no_grad; the batch and the output stay bound until the next "
            "step binds them again."
        )
    yield f"Each piece of memory counts rounded up to {BLOCK_BYTES} bytes, as PyTorch's CUDA allocator does."
    yield (
        "Left out: workspaces of cuDNN and cuBLAS, what the allocator holds back in its segments, the CUDA "
        "context, and other processes."
    )
    yield NOT_MODELLED


def _csv_rows(memory: TensorMemory) -> Iterator[tuple[Cell, ...]]:
    """Yield the marks, the peak, and what the peak is made of by layer and kind."""
    for mark in memory.marks:
        yield "mark", mark.step, mark.phase, None, None, mark.allocated_bytes
    peak = memory.peak
    yield "peak", peak.step, peak.phase.value, peak.layer, None, peak.allocated_bytes
    for share in memory.shares:
        yield "share", peak.step, peak.phase.value, share.layer, share.kind.value, share.allocated_bytes


def _result(memory: TensorMemory) -> dict[str, Json]:
    peak = memory.peak
    return {
        "marks": [
            {"step": mark.step, "phase": mark.phase, "allocated_bytes": mark.allocated_bytes}
            for mark in memory.marks
        ],
        "peak": {
            "allocated_bytes": peak.allocated_bytes,
            "step": peak.step,
            "phase": peak.phase.value,
            "layer": peak.layer,
            "op": peak.op,
        },
        "breakdown_bytes": {kind.value: nbytes for kind, nbytes in memory.breakdown_bytes.items()},
        "shares": [
            {"layer": share.layer, "kind": share.kind.value, "allocated_bytes": share.allocated_bytes}
            for share in memory.shares
        ],
        "assumptions": list(assumptions(memory)),
    }
