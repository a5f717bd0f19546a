"""Images a second over batch sizes, drawn with characters and as SVG."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from vggprof.views.document import printable
from vggprof.views.phrases import say_setup

if TYPE_CHECKING:
    from vggprof.latency.curve import Curve
    from vggprof.latency.predict import Latency
    from vggprof.latency.report import LatencyReport

_BAR: Final = 60  # columns of the longest bar
# Pixels.
_LEFT, _TOP, _WIDE, _HIGH = 70, 60, 640, 300
_STYLE: Final = """
svg{--ink:#1a1a1a;--paper:#ffffff;--faint:#8c8c8c}
@media (prefers-color-scheme:dark){svg{--ink:#ececec;--paper:#161616}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.title{font-size:15px;font-weight:600}
.paper{fill:var(--paper)}
.likely{fill:none;stroke:#0072b2;stroke-width:2}
.range{fill:#56b4e9;fill-opacity:.3}
.axis{stroke:var(--faint)}
.memory{stroke:#d62728;stroke-width:2}
.knee{fill:#e69f00}
"""


def latency_plot(report: "LatencyReport") -> str:
    """Return a bar a batch size; "" where the report has no curve.

    VGG-16 on a card of 12 GB::

        batch  images/s
           32      85.7  ###########################################
           64      88.1  #############################################
           96      89.0  .............................................. beyond the memory
    """
    curve = report.curve
    if curve is None:
        return ""
    lines = (
        f"{report.arch}: images a second, {say_setup(report.setup)}",
        "",
        *_bars(curve),
        "",
        *_said(curve),
    )
    return "\n".join(printable(line).rstrip() for line in lines) + "\n"


def _bars(curve: "Curve") -> Iterator[str]:
    best = max(point.images_per_s for point in curve.points)
    yield "batch  images/s"
    for point in curve.points:
        fits = point in curve.fitting
        bar = ("#" if fits else ".") * round(_BAR * point.images_per_s / best)
        note = "" if fits else " beyond the memory"
        mark = " knee" if point is curve.knee else ""
        yield f"{point.batch:>5}  {point.images_per_s:>8.1f}  {bar}{note}{mark}"


def _said(curve: "Curve") -> Iterator[str]:
    if curve.largest_batch is not None:
        yield f"The largest batch that the memory likely holds is {curve.largest_batch}."
    if curve.knee is not None:
        yield f"From batch {curve.knee.batch} on it is within 10 % of the best of these that fits."


def latency_svg(report: "LatencyReport") -> str:
    """Return the same as an SVG picture, with the intervals; "" where the report has no curve."""
    curve = report.curve
    if curve is None:
        return ""
    title = f"{report.arch}: images a second over the batch size"
    card = report.single
    device = "" if card is None else f", {card.device.name}"
    width, height = _LEFT + _WIDE + 30, _TOP + _HIGH + 80
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="t d">',
        f'<title id="t">{_text(title)}</title>',
        f'<desc id="d">{_text(" ".join(_said(curve)))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="title" x="{_LEFT}" y="22">{_text(title)}</text>',
        f'<text x="{_LEFT}" y="40">{_text(say_setup(report.setup) + device)}</text>',
        *_drawn(curve),
        *(
            f'<text x="{_LEFT}" y="{_TOP + _HIGH + 48 + 18 * line}">{_text(said)}</text>'
            for line, said in enumerate(_said(curve))
        ),
        "</svg>",
    )
    return "\n".join(parts) + "\n"


def _drawn(curve: "Curve") -> Iterator[str]:
    """Yield the range, the likely line, a label a batch, the knee and the end of the memory."""
    points = curve.points
    top = max(_rate(point, point.step.low) for point in points)
    across = [_LEFT + _WIDE * at / max(len(points) - 1, 1) for at in range(len(points))]

    def y(rate: float) -> float:
        return _TOP + _HIGH * (1 - rate / top)

    def path(rates: list[float]) -> list[str]:
        return [f"{x:.1f},{y(rate):.1f}" for x, rate in zip(across, rates, strict=True)]

    high, low = ([_rate(p, p.step.low) for p in points], [_rate(p, p.step.high) for p in points])
    yield f'<polygon class="range" points="{" ".join(path(high) + path(low)[::-1])}"/>'
    yield f'<polyline class="likely" points="{" ".join(path([p.images_per_s for p in points]))}"/>'
    yield f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{_TOP + _HIGH}" y2="{_TOP + _HIGH}"/>'
    for x, point in zip(across, points, strict=True):
        yield f'<text x="{x:.1f}" y="{_TOP + _HIGH + 18}" text-anchor="middle">{point.batch}</text>'
        if point is curve.knee:
            yield f'<circle class="knee" cx="{x:.1f}" cy="{y(point.images_per_s):.1f}" r="5"/>'
    for part in range(5):
        rate = top * part / 4
        yield f'<text x="{_LEFT - 8}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate:.0f}</text>'
    fitting = len(curve.fitting)
    if 0 < fitting < len(points):
        x = (across[fitting - 1] + across[fitting]) / 2
        yield f'<line class="memory" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + _HIGH}"/>'


def _rate(point: "Latency", step_ms: float) -> float:
    return 1000 * point.images / step_ms


def _text(words: str) -> str:
    return escape(printable(words))
