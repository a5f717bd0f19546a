"""Who can have filled a GPU before the first step, as part of a document."""

from collections.abc import Iterator, Sequence

from vggprof.report import Filled
from vggprof.units import format_bytes
from vggprof.views.document import Block, Column, Notes, Table, Unit

_COLUMNS = (
    Column("GPU", Unit.TEXT),
    Column("left beside the context", Unit.BYTES),
    Column("held by the training", Unit.BYTES),
    Column("held by others, at least", Unit.BYTES),
    Column("low", Unit.BYTES),
    Column("high", Unit.BYTES),
    Column("steps reserve", Unit.BYTES),
    Column("get through with", Unit.BYTES),
    Column("steps, alone on it", Unit.TEXT),
)


def holders(title: str, filled: Sequence[Filled], *said: str) -> Iterator[Block]:
    """Yield what *said* and the cards of *filled* together say, smaller cards first; then each of them."""
    rows = tuple(
        (
            each.device.name,
            each.left.likely,
            each.own_bytes,
            each.others.likely,
            each.others.low,
            each.others.high,
            each.step_bytes,
            each.least_bytes,
            each.status.value,
        )
        for each in filled
    )
    yield Notes(title, (*said, *_conclusion(filled)))
    yield Table("", _COLUMNS, rows)


def _conclusion(filled: Sequence[Filled]) -> Iterator[str]:
    alone = [each.device.name for each in filled if each.others.low == 0]
    if alone:
        yield f"Its own need can have filled {', '.join(alone)}; on the others somebody else holds memory."
    else:
        least = min(each.others.low for each in filled)
        yield (
            "Its own need fills none of these before the first step: others hold "
            f"{format_bytes(least)} or more on each."
        )
    fits = [each.device.name for each in filled if each.status.value == "FITS"]
    if fits:
        yield f"Alone, its steps fit {', '.join(fits)}."
    tight = [each.device.name for each in filled if each.status.value == "TIGHT"]
    if tight:
        yield f"On {', '.join(tight)} it hangs on what is left beside the context whether they fit."
    oom = [each.device.name for each in filled if each.status.value == "OOM"]
    if oom:
        yield f"Later, in a step, it would have run out of memory by itself on {', '.join(oom)}."
