"""What is held during a training, as an SVG picture: one file, nothing from elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from vggprof.memory.series import KINDS, Sampled, Series, sampled
from vggprof.units import KIB, format_bytes
from vggprof.views.memory_plot import held_over, say_card, say_most
from vggprof.views.phrases import say_setup
from vggprof.views.svg import LETTER, picture, pixels, text

if TYPE_CHECKING:
    from vggprof.memory.report import MemoryReport

# Pixels: the plot is a point wide for each, with room for sizes at the left and words above and below.
_LEFT: Final = 90
_TOP: Final = 86
_WIDE: Final = 800
_HIGH: Final = 320
_WIDTH: Final = _LEFT + _WIDE + 30
_HEIGHT: Final = _TOP + _HIGH + 114

# One colour a kind, told apart by people who are colour-blind and on white as on black: Okabe and Ito 2008,
# https://jfly.uni-koeln.de/color, with greys for black and yellow, which vanish on one of them.
_COLOURS: Final = dict(
    zip(
        KINDS,
        ("#0072b2", "#7f7f7f", "#56b4e9", "#009e73", "#a6a6a6", "#e69f00", "#d55e00", "#cc79a7"),
        strict=True,
    )
)
_Height = Callable[[int], str]  # the y of so many bytes


def memory_svg(report: "MemoryReport", name: str = "") -> str:
    """Return the picture of *report*'s series, stacked by kind; "" where it has none.

    *name* tells it from others on one page. It follows the reader's light or dark scheme::

        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 520" role="img" aria-labelledby="t d">
        <title id="t">vgg16: memory over the training</title>
        ...
    """
    series = report.series
    if series is None:
        return ""
    drawn = sampled(series, _WIDE)
    title = held_over(report)
    device = f", {report.single.prediction.device.name}" if report.single else ""
    parts = (
        text(_LEFT, 24, title, extra=' class="title"'),
        text(_LEFT, 42, f"{say_setup(report.setup)}{device}"),
        *_plot(series, drawn),
        *_legend(series),
    )
    said = f"{say_most(series)} {say_card(series)}"
    return picture(name, title, said, parts, width=_WIDTH, height=_HEIGHT)


def _plot(series: Series, drawn: Sampled) -> Iterator[str]:
    top, points = series.top_bytes, drawn.points
    scale = _WIDE / len(points)

    def height(nbytes: int) -> str:
        return pixels(_TOP + _HIGH - _HIGH * nbytes / top)

    yield from _sizes(top, height)
    yield f'<path class="unused" d="{_area([(0, p.reserved_bytes) for p in points], scale, height)}"/>'
    for at, kind in enumerate(KINDS):
        if kind in series.kinds:
            heights = [(sum(p.by_kind[:at]), sum(p.by_kind[: at + 1])) for p in points]
            yield f'<path fill="{_COLOURS[kind]}" d="{_area(heights, scale, height)}"/>'
    yield f'<path class="line" d="{_outline([p.reserved_bytes for p in points], scale, height)}"/>'
    yield f'<path class="live" d="{_outline([p.live_bytes for p in points], scale, height)}"/>'
    yield from _phases(drawn, scale)
    if series.near:
        y = height(series.capacity_bytes)
        yield f'<line class="card" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y}" y2="{y}"/>'
    else:
        size = format_bytes(series.capacity_bytes)
        yield text(_LEFT + _WIDE, _TOP - 44, f"\u2191 limit: {size}", anchor="end", extra=' class="limit"')


def _sizes(top: int, height: _Height) -> Iterator[str]:
    """Yield a line at each round size; sizes are whole powers of two, five to ten of them."""
    step = KIB
    while step * 10 < top:
        step *= 2
    for nbytes in range(0, top + 1, step):
        y = height(nbytes)
        yield f'<line class="step" x1="{_LEFT - 5}" x2="{_LEFT}" y1="{y}" y2="{y}"/>'
        yield text(_LEFT - 9, float(y) + 4, format_bytes(nbytes) if nbytes else "0", anchor="end")


def _phases(drawn: Sampled, scale: float) -> Iterator[str]:
    """Yield a line where each phase begins, its name where there is room, and each step's number."""
    seen: set[int | None] = set()
    for each in drawn.stretches:
        x, width = _LEFT + scale * each.start, scale * (each.stop - each.start)
        new = each.step not in seen
        seen.add(each.step)
        name = "step" if new else "phase"
        upper = _TOP - (26 if new else 10)
        yield (
            f'<line class="{name}" x1="{pixels(x)}" x2="{pixels(x)}" y1="{upper}" y2="{_TOP + _HIGH + 6}"/>'
        )
        if new and each.step is not None:
            yield text(x + 4, _TOP - 18, f"step {each.step}")
        if width >= LETTER * len(each.phase):
            yield text(x + width / 2, _TOP + _HIGH + 18, each.phase, anchor="middle")


def _legend(series: Series) -> Iterator[str]:
    x, y = _LEFT, _TOP + _HIGH + 44
    for kind in series.kinds:
        word = kind.replace("_", " ")
        yield f'<rect x="{x}" y="{y - 10}" width="11" height="11" fill="{_COLOURS[kind]}"/>'
        yield text(x + 16, y, word)
        x += 30 + LETTER * len(word)
    y += 20
    yield f'<rect class="unused" x="{_LEFT}" y="{y - 10}" width="11" height="11"/>'
    yield text(_LEFT + 16, y, "reserved but unused; dotted: live tensors and workspaces as asked for")
    yield text(_LEFT, y + 20, say_most(series))
    yield text(_LEFT, y + 40, say_card(series))


def _area(heights: Sequence[tuple[int, int]], scale: float, height: _Height) -> str:
    """Return a path around what lies between the lower and the upper height of each point."""
    upper = _outline([high for _, high in heights], scale, height)
    lower = _runs([low for low, _ in heights], scale)
    back = "".join(f"V{height(nbytes)}H{start}" for start, _, nbytes in reversed(lower))
    return f"{upper}{back}Z"


def _outline(heights: Sequence[int], scale: float, height: _Height) -> str:
    """Return a path of steps from the lower left corner."""
    steps = "".join(f"V{height(nbytes)}H{stop}" for _, stop, nbytes in _runs(heights, scale))
    return f"M{_LEFT} {height(0)}{steps}"


def _runs(heights: Sequence[int], scale: float) -> list[tuple[str, str, int]]:
    """Return where each run of equal heights begins and ends, and its height."""
    at, runs = 0, []
    for nbytes, run in groupby(heights):
        start, at = at, at + len(list(run))
        runs.append((pixels(_LEFT + scale * start), pixels(_LEFT + scale * at), nbytes))
    return runs
