"""The memory of a measurement as people read it: beside the prediction, at each mark, and where they part."""

from collections import defaultdict
from collections.abc import Iterator

from vggprof.compare.measured import MeasuredReport, Quantity
from vggprof.compare.parting import Difference, Parting
from vggprof.measurement import AllocatorEvent, Memory, MemoryMark
from vggprof.memory.place import Place
from vggprof.units import format_bytes
from vggprof.views.document import Block, Cell, Column, Lines, Table, Unit

_NAMES = {
    "peak_allocated_bytes": "PyTorch allocates at most",
    "peak_reserved_bytes": "PyTorch reserves at most",
    "context_bytes": "context, outside PyTorch",
    "process_bytes": "whole process",
    "tensors_bytes": "tensors at most",
}
_DIFFERENCES = {
    Difference.ACTION: "something else is done",
    Difference.SIZE: "another size",
    Difference.ADDRESS: "another place",
    Difference.END: "one of the two has ended",
}


def memory_blocks(report: MeasuredReport) -> Iterator[Block]:
    """Yield sizes beside each other, how the allocator's events compare, and what each mark holds."""
    memory = report.measurement.memory
    if memory is None and report.layers is None:
        return
    rows = tuple(map(_quantity, report.quantities))
    yield Table(
        "Memory, measured beside predicted",
        (
            Column("what", Unit.TEXT),
            Column("measured", Unit.BYTES),
            Column("predicted", Unit.BYTES),
            Column("low", Unit.BYTES),
            Column("high", Unit.BYTES),
            Column("difference", Unit.BYTES),
            Column("within", Unit.TEXT),
        ),
        rows,
    )
    said = tuple(_lines(report))
    if said:
        yield Lines(said)
    if memory is not None and memory.marks:
        yield _marks(memory)


def _quantity(quantity: Quantity) -> tuple[Cell, ...]:
    predicted = quantity.predicted
    ends = (None, None, None) if predicted is None else (predicted.likely, predicted.low, predicted.high)
    within = None if quantity.within is None else "yes" if quantity.within else "no"
    return _NAMES[quantity.name], quantity.measured, *ends, quantity.difference, within


def _lines(report: MeasuredReport) -> Iterator[str]:
    card = None if report.memory is None else report.memory.single
    memory = report.measurement.memory
    if memory is not None and memory.gpu_bytes is not None:
        yield f"In use on the whole GPU at most: {format_bytes(memory.gpu_bytes)}"
    if card is not None:
        largest = "-" if card.largest_batch is None else f"{card.largest_batch:,}"
        yield f"Predicted for this GPU: {card.prediction.status.value}, largest batch {largest}"
    if report.parting is not None:
        yield from _parting(report.parting)
    elif report.events_compared:
        assert memory is not None
        yield f"All {len(memory.events):,} allocator events are as predicted, in order, size and place."


def _parting(parting: Parting) -> Iterator[str]:
    yield (
        f"The allocator's events are the same up to number {parting.number:,}; there is "
        f"{_DIFFERENCES[parting.difference]}{_place(parting.place)}{_mark(parting.mark)}."
    )
    yield f"Predicted: {_event(parting.predicted)}; measured: {_event(parting.measured)}"


def _place(place: Place | None) -> str:
    """Return where the prediction is: ``, predicted in backward of step 0, conv1_1 (aten...)``."""
    if place is None:
        return ""
    if place.step is None:
        return ", while the model moves in"
    layer = "" if place.layer is None else f", {place.layer}"
    op = "" if place.op is None else f" ({place.op})"
    return f", predicted in {place.phase.value} of step {place.step}{layer}{op}"


def _mark(mark: MemoryMark | None) -> str:
    """Return where the measurement is: ``, measured after the mark loss of step 0``."""
    if mark is None:
        return ""
    return f", measured after the mark {mark.phase}{'' if mark.step is None else f' of step {mark.step}'}"


def _event(event: AllocatorEvent | None) -> str:
    return "nothing more" if event is None else f"{event.action} of {event.size_bytes:,} bytes"


def _marks(memory: Memory) -> Table:
    """Return a row for each step, a column for each mark; the first row is from before the first step."""
    phases = tuple(dict.fromkeys(mark.phase for mark in memory.marks))
    by_step: defaultdict[int | None, dict[str, int]] = defaultdict(dict)
    for mark in memory.marks:
        by_step[mark.step][mark.phase] = mark.allocated_bytes
    return Table(
        "Allocated at the end of each phase, as measured",
        (Column("step", Unit.EXACT), *(Column(phase, Unit.BYTES) for phase in phases)),
        tuple((step, *(at.get(phase) for phase in phases)) for step, at in by_step.items()),
    )
