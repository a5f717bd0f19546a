"""Tables of pages that are written by hand otherwise, between `<!-- name -->` and `<!-- end -->`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

# By name: the header, and what makes the rows.
Tables: TypeAlias = Mapping[str, tuple[Sequence[str], Callable[[], Iterable[Sequence[str]]]]]


def share(part: float, whole: float) -> str:
    """Return *part* of *whole* in percent."""
    return f"{100 * part / whole:.1f} %"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, tables: Tables) -> str:
    """Return *page* with *tables* made anew."""
    for name, (header, rows) in tables.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert block.search(page), name
        page = block.sub(partial(_replaced, table(header, rows())), page)
    return page


def _replaced(text: str, found: re.Match[str]) -> str:
    return f"{found[1]}{text}{found[2]}"
