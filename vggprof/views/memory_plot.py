"""What is held during a training, drawn with characters."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vggprof.memory.series import KINDS, Point, Sampled, Series, Stretch, sampled
from vggprof.units import format_bytes
from vggprof.views.document import printable
from vggprof.views.phrases import say_setup
from vggprof.views.table import WIDTH

if TYPE_CHECKING:
    from vggprof.memory.report import MemoryReport

_GUTTER: Final = 12  # for the sizes at the left, and the bar behind them
COLUMNS: Final = WIDTH - _GUTTER
ROWS: Final = 20
_UNUSED, _CARD = ".", "-"


def memory_plot(report: "MemoryReport") -> str:
    """Return the picture of *report*'s series, a letter a kind; "" where it has none.

    VGG-16 at batch 32 on a card of 12 GB ends like this, at the left::

          2.72 GiB |    .AAAAAAAAAAAAAAAAAATTWW........AAAAAAAA
                   |    AAAAAAAAAAAAAAAAAAAAAATT......WAAAAAAAA
                   |   AAAAAAAAAAAAAAAAAAAAAAAAA..GGGGAAAAAAAAA
                   |   AAAAAAAAAGGGGGGGGGGGGGGGGGGOOOOOOOOOOOOO
                   |  PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP
                   +mmifffffbbbbbbbbbbbbbbbbbbbbooofffffffflbbb
                    | |0                           |1
    """
    series = report.series
    if series is None:
        return ""
    drawn = sampled(series, COLUMNS)
    lines = (
        f"{held_over(report)}, {say_setup(report.setup)}",
        "",
        *_rows(series, drawn),
        *_axis(drawn),
        "",
        *_legend(series),
    )
    return "\n".join(printable(line).rstrip() for line in lines) + "\n"


def _rows(series: Series, drawn: Sampled) -> Iterator[str]:
    card = min(series.capacity_bytes * ROWS // series.top_bytes, ROWS - 1) if series.near else None
    for row in reversed(range(ROWS)):
        edge = series.top_bytes * (row + 1) // ROWS
        labelled = (row + 1) % 5 == 0 or row == card
        size = format_bytes(series.capacity_bytes if row == card else edge) if labelled else ""
        if row == card:
            yield f"{size:>{_GUTTER - 2}} |{_CARD * len(drawn.points)}"
        else:
            yield f"{size:>{_GUTTER - 2}} |{''.join(_cell(p, row, series.top_bytes) for p in drawn.points)}"


def _cell(point: Point, row: int, top: int) -> str:
    """Return the letter of what lies in the middle of the cell."""
    middle = top * (2 * row + 1) // (2 * ROWS)
    height = 0
    for kind, nbytes in zip(KINDS, point.by_kind, strict=True):
        height += nbytes
        if height > middle:
            return _letter(kind)
    return _UNUSED if point.reserved_bytes > middle else " "


def _axis(drawn: Sampled) -> Iterator[str]:
    """Yield a line with the phases' letters, and one on which each step begins."""
    phases = "".join(each.phase[0] * (each.stop - each.start) for each in drawn.stretches)
    yield f"{'+':>{_GUTTER}}{phases}"
    steps = [" "] * (len(drawn.points) + 1)
    for each in _first_of_steps(drawn.stretches):
        mark = "|" if each.step is None else f"|{each.step}"
        steps[each.start : each.start + len(mark)] = mark
    yield f"{'':>{_GUTTER}}{''.join(steps)}"


def _first_of_steps(stretches: tuple[Stretch, ...]) -> Iterator[Stretch]:
    seen: set[int | None] = set()
    for each in stretches:
        if each.step not in seen:
            seen.add(each.step)
            yield each


def _legend(series: Series) -> Iterator[str]:
    kinds = [f"{_letter(kind)} {kind.replace('_', ' ')}" for kind in series.kinds]
    yield f"{', '.join(kinds)}, {_UNUSED} reserved but unused"
    phases = dict.fromkeys(each.phase for each in series.stretches)
    yield f"{', '.join(f'{phase[0]} {phase}' for phase in phases)}; |0 is where step 0 begins"
    yield say_most(series)
    yield say_card(series)


def held_over(report: "MemoryReport") -> str:
    """Return what a picture is of, ``vgg16: memory over the training``."""
    return f"{report.arch}: memory over the {'training' if report.setup.training else 'forward passes'}"


def say_most(series: Series) -> str:
    """Return the peaks, ``At most 3.78 GiB live, 3.79 GiB allocated, 5.96 GiB reserved.``, a sentence."""
    live, allocated = format_bytes(series.peak_live_bytes), format_bytes(series.peak_allocated_bytes)
    return f"At most {live} live, {allocated} allocated, {format_bytes(series.peak_reserved_bytes)} reserved."


def say_card(series: Series) -> str:
    """Return what the card's line is, and whether the picture shows it."""
    size = format_bytes(series.capacity_bytes)
    if not series.near:
        return f"PyTorch can have {size} on this card, which is far above the picture."
    if not series.fits:
        return (
            f"The line is what PyTorch can have on this card, {size}; drawn is how it would go on without it."
        )
    return f"The line is what PyTorch can have on this card, {size}."


def _letter(kind: str) -> str:
    return kind[0].upper()
