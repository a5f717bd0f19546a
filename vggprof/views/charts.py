"""The charts of a report as SVG pictures: one file each, nothing from elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from vggprof.analyzers import LayerRow
from vggprof.compare import Profile
from vggprof.devices import Rate
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.report.roofline import Roof, dots
from vggprof.trace import Dtype
from vggprof.units import format_bytes, format_count
from vggprof.views.dots import Dot, dots_of
from vggprof.views.phrases import say_setup
from vggprof.views.svg import COLOURS, LETTER, Logarithmic, legend, picture, pixels, text

_WIDTH = 920
_LEFT, _RIGHT, _TOP, _HIGH = 90, 890, 66, 320
_BOTTOM = _TOP + _HIGH
_ROW = 18  # pixels of one layer's bars
_BAR = 250  # of the longest bar


def layer_bytes_svg(profile: Profile, name: str = "") -> str:
    """Return two bars a layer: the bytes of the outputs that it makes, and those of its parameters."""
    table = profile.table
    rows = [row for row in table.rows if row.output_bytes or row.params]
    most = max((len(row.name) for row in rows), default=0)
    left = 20 + LETTER * most
    right = left + _BAR + 100
    item = 2 if table.setup.dtype is Dtype.FP16 else 4
    columns = (
        ("outputs made", left, COLOURS[1], [row.output_bytes for row in rows]),
        ("parameters", right, COLOURS[0], [row.params * item for row in rows]),
    )
    title = f"{table.arch}: bytes of activations and parameters, layer by layer"
    parts = [text(20, 24, title, extra=' class="title"'), text(20, 42, say_setup(table.setup))]
    parts += [text(left - 8, _bar_y(at) + 11, row.name, anchor="end") for at, row in enumerate(rows)]
    for heading, x, colour, sizes in columns:
        parts.append(text(x, _TOP, heading))
        parts += _bars(sizes, x, colour)
    height = _bar_y(len(rows)) + 14
    said = "A row a layer, in the order in which they run."
    return picture(name, title, said, parts, width=max(_WIDTH, right + _BAR + 110), height=height)


def _bar_y(at: int) -> int:
    return _TOP + 8 + _ROW * at


def _bars(sizes: Sequence[int], x: int, colour: str) -> Iterator[str]:
    longest = max(sizes, default=0)
    for at, nbytes in enumerate(sizes):
        if nbytes:
            wide, y = max(_BAR * nbytes / longest, 0.5), _bar_y(at)
            yield f'<rect x="{x}" y="{y}" width="{pixels(wide)}" height="13" fill="{colour}"/>'
            yield text(x + wide + 6, y + 11, format_bytes(nbytes))


def work_svg(profiles: Sequence[Profile], name: str = "") -> str:
    """Return a dot a layer: its MACs against its time, or where no time is known the bytes that it moves."""
    timed = all(profile.times is not None for profile in profiles)
    found = [dot for at, profile in enumerate(profiles) for dot in _work(at, profile, timed=timed)]
    what = "time of all passes, ms" if timed else "bytes moved, forward"
    against = f"time, {_sources(profiles)}" if timed else "bytes moved"
    said = f"A dot a layer that multiplies: MACs against {against}."
    return _scatter(
        found, profiles, title=f"MACs against {'time' if timed else 'bytes moved'}", name=name, said=said,
        axes=(what, "MACs of all passes" if timed else "MACs, forward"),
        labels=(_plain if timed else _bytes, _count),
    )  # fmt: skip


def _sources(profiles: Sequence[Profile]) -> str:
    """Return who knows the times, ``predicted for GeForce RTX 3060 12GB``."""
    return " and ".join(dict.fromkeys(each.times.source for each in profiles if each.times is not None))


def _work(at: int, profile: Profile, *, timed: bool) -> Iterator[Dot]:
    times = profile.layer_ms()
    for row in profile.table.rows:
        moved = row.read_bytes + row.written_bytes
        x, macs = (times[row.name], row.macs + row.macs_backward) if timed else (moved, row.macs)
        if x and macs:
            size = f"{x:.3f} ms" if timed else format_bytes(moved)
            said = f"{profile.table.arch} {row.name}: {format_count(macs)} MACs, {size}"
            yield Dot(x, macs, at, row.name, said)


def roofline_svg(profiles: Sequence[Profile], roof: Roof, settings: CudnnSettings, name: str = "") -> str:
    """Return a dot a layer under what *roof* allows at its arithmetic intensity."""
    every = [(at, dot) for at, profile in enumerate(profiles) for dot in dots(profile, roof, settings)]
    timed = any(dot.timed for _, dot in every)
    found = [
        Dot(
            dot.intensity,
            dot.flops_per_s,
            at,
            dot.layer,
            f"{profiles[at].table.arch} {dot.layer}: {dot.intensity:.1f} FLOPs/byte, "
            f"{dot.flops_per_s / 1e12:.2f} TFLOP/s",
        )
        for at, dot in every
    ]
    where = (
        f"what all its passes compute in their time, {_sources(profiles)}"
        if timed
        else "the most that memory and units allow, for no time is known"
    )
    return _scatter(
        found, profiles, title=f"Roofline of the {roof.device.name}", name=name,
        said=f"A dot a layer that multiplies; its height is {where}.",
        axes=("FLOPs a byte moved, forward", "FLOP/s"), labels=(_plain, _count), roof=roof,
    )  # fmt: skip


def field_svg(profiles: Sequence[Profile], name: str = "") -> str:
    """Return how the receptive field grows from layer to layer, a line a network; of its first axis."""
    lines = [_fields(profile.table.rows) for profile in profiles]
    longest = max((at for line in lines for at, _ in line), default=1) or 1
    y = Logarithmic.over([size for line in lines for _, size in line], _BOTTOM, _TOP)
    step = (_RIGHT - _LEFT) / (longest + 1)
    parts = [
        *_frame("number of the layer, in the order in which they run", "pixels of the input, along one axis"),
        *_y_ticks(y, _plain),
        *(
            text(_LEFT + step * (at - 0.5), _BOTTOM + 18, str(at), anchor="middle")
            for at in (1, *range(5, longest + 2, 5))
        ),
    ]
    for number, line in enumerate(lines):
        places = [(_LEFT + step * (at + 0.5), y(size)) for at, size in line]
        path = "".join(f"H{pixels(x)}V{pixels(high)}" for x, high in places[1:])
        if places:
            start = f"M{pixels(places[0][0])} {pixels(places[0][1])}"
            colour = COLOURS[number % len(COLOURS)]
            parts.append(f'<path fill="none" stroke-width="2" stroke="{colour}" d="{start}{path}"/>')
    said = (
        "What one output of each layer sees, up to the classifier; beside the names what the last one sees."
    )
    last = [f": {line[-1][1]}" if line else "" for line in lines]
    return _finished(parts, profiles, "Growth of the receptive field", said, name, last)


def _fields(rows: Sequence[LayerRow]) -> list[tuple[int, int]]:
    """Return place and size of each layer's field, the classifier's left out: it sees all there is."""
    return [
        (at, row.receptive_field[0].size)
        for at, row in enumerate(rows)
        if row.receptive_field and row.output_shape and len(row.output_shape) > 2
    ]


def _scatter(  # noqa: PLR0913 - what a chart has
    found: Sequence[Dot],
    profiles: Sequence[Profile],
    *,
    title: str,
    name: str,
    said: str,
    axes: tuple[str, str],
    labels: tuple[Callable[[float], str], Callable[[float], str]],
    roof: Roof | None = None,
) -> str:
    peaks = [] if roof is None else [float(roof.peak(rate)) for rate in roof.rates]
    x = Logarithmic.over([dot.x for dot in found], _LEFT, _RIGHT)
    y = Logarithmic.over([*(dot.y for dot in found), *peaks], _BOTTOM, _TOP)
    parts = [*_frame(*axes), *_x_ticks(x, labels[0]), *_y_ticks(y, labels[1])]
    if roof is not None:
        parts += _roof(roof, x, y)
    parts += dots_of(found, x, y)
    return _finished(parts, profiles, title, said, name)


def _roof(roof: Roof, x: Logarithmic, y: Logarithmic) -> Iterator[str]:
    """Yield the line of each kind of unit, which bends where memory is no longer what limits."""
    bandwidth = roof.device.bandwidth_bytes_per_s
    low, most = 10.0**x.low, 10.0**x.high
    bends = []
    by_peak: dict[int, list[Rate]] = {}
    for rate in roof.rates:
        by_peak.setdefault(roof.peak(rate), []).append(rate)
    for peak, rates in by_peak.items():
        rate, names = rates[0], " and ".join(rates)
        start = max(low, 10.0**y.low / bandwidth)
        places = [start, max(start, peak / bandwidth), most]
        points = [(x(min(at, most)), y(roof.allowed(min(at, most), rate))) for at in places]
        for (x1, y1), (x2, y2) in pairwise(points):
            ends = f'x1="{pixels(x1)}" y1="{pixels(y1)}" x2="{pixels(x2)}" y2="{pixels(y2)}"'
            yield f'<line class="line" {ends}/>'
        yield text(_RIGHT, points[-1][1] - 6, f"{names}: {peak / 1e12:.1f} TFLOP/s", anchor="end")
        bends.append(points[1])
    place, high = max(bends)
    if place > _LEFT:
        yield text(_LEFT + 8, high - 6, f"memory: {bandwidth / 1e9:,.0f} GB/s")


def _frame(along: str, up: str) -> Iterator[str]:
    yield f'<line class="step" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{_BOTTOM}"/>'
    yield f'<line class="step" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
    yield text((_LEFT + _RIGHT) / 2, _BOTTOM + 38, along, anchor="middle")
    yield text(_LEFT, _TOP - 10, up)


def _x_ticks(x: Logarithmic, say: Callable[[float], str]) -> Iterator[str]:
    for value in x.ticks:
        place = pixels(x(value))
        yield f'<line class="phase" x1="{place}" x2="{place}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        yield text(x(value), _BOTTOM + 18, say(value), anchor="middle")


def _y_ticks(y: Logarithmic, say: Callable[[float], str]) -> Iterator[str]:
    for value in y.ticks:
        place = pixels(y(value))
        yield f'<line class="phase" x1="{_LEFT}" x2="{_RIGHT}" y1="{place}" y2="{place}"/>'
        yield text(_LEFT - 8, y(value) + 4, say(value), anchor="end")


def _finished(  # noqa: PLR0913, PLR0917 - what every chart has
    parts: Sequence[str],
    profiles: Sequence[Profile],
    title: str,
    said: str,
    name: str,
    more: Sequence[str] = (),
) -> str:
    archs = [profile.table.arch for profile in profiles]
    known = [f"{arch}{what}" for arch, what in zip(archs, more, strict=True)] if more else archs
    whole = [
        text(20, 24, title, extra=' class="title"'),
        *parts,
        *legend(known, x=_LEFT, y=_BOTTOM + 66, wide=_RIGHT - _LEFT),
        text(_LEFT, _BOTTOM + 110, said),
    ]
    heading = f"{', '.join(archs)}: {title}"
    return picture(name, heading, said, whole, width=_WIDTH, height=_BOTTOM + 126)


def _bytes(value: float) -> str:
    """Return a power of ten bytes, in decimal units, as the axis has them."""
    return f"{format_count(int(value)).replace('.00', '')}B" if value >= 1 else f"{value:g} B"


def _count(value: float) -> str:
    return format_count(int(value)).replace(".00", "")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
