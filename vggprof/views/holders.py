"""Who can have filled a GPU before the first step, as part of a document."""

from collections.abc import Iterator, Sequence

from vggprof.report import Filled
from vggprof.units import format_bytes
from vggprof.views.document import Block, Column, Lines, Table, Unit

_COLUMNS = (
    Column("GPU", Unit.TEXT),
    Column("left beside the context", Unit.BYTES),
    Column("held by the training", Unit.BYTES),
    Column("held by others, at least", Unit.BYTES),
    Column("low", Unit.BYTES),
    Column("high", Unit.BYTES),
    Column("steps reserve", Unit.BYTES),
    Column("steps, alone on it", Unit.TEXT),
)


def holders(title: str, filled: Sequence[Filled]) -> Iterator[Block]:
    """Yield what each of *filled* comes to, and what that says of all of them."""
    rows = tuple(
        (
            each.device.name,
            each.left.likely,
            each.own_bytes,
            each.others.likely,
            each.others.low,
            each.others.high,
            each.step_bytes,
            each.status.value,
        )
        for each in filled
    )
    yield Table(title, _COLUMNS, rows)
    yield Lines(tuple(_conclusion(filled)))


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
    oom = [each.device.name for each in filled if each.status.value == "OOM"]
    if oom:
        yield f"Later, in a step, it would have run out of memory by itself on {', '.join(oom)}."
