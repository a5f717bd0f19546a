"""What every SVG picture is made of: one style for light and dark, words that are never markup, axes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from vggprof.views.document import printable

LETTER = 7  # pixels of a label's letter, about

STYLE = """
svg{--ink:#1a1a1a;--paper:#ffffff;--faint:#8c8c8c;--unused:#dddddd;--limit:#b3261e}
@media (prefers-color-scheme:dark){svg{--ink:#ececec;--paper:#161616;--unused:#3a3a3a;--limit:#ff8a80}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.title{font-size:15px;font-weight:600}
.name{font-size:10px}
.paper{fill:var(--paper)}
.unused{fill:var(--unused)}
.line{fill:none;stroke:var(--ink)}
.live{fill:none;stroke:var(--ink);stroke-dasharray:2 2}
.card{stroke:#d62728;stroke-width:2}
.limit{fill:var(--limit)}
.phase{stroke:var(--faint);stroke-dasharray:1 3}
.step{stroke:var(--faint)}
"""

# Told apart by people who are colour-blind and on white as on black: Okabe and Ito 2008,
# https://jfly.uni-koeln.de/color, without black and yellow, which vanish on one of them.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#7f7f7f")


def picture(  # noqa: PLR0913 - what a picture has
    name: str, title: str, said: str, parts: Iterable[str], *, width: int, height: int, style: str = STYLE
) -> str:
    """Return a whole picture; *name* tells it from others on one page, *said* is for who cannot see it."""
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'aria-labelledby="{name}t {name}d">',
            f'<title id="{name}t">{words(title)}</title>',
            f'<desc id="{name}d">{words(said)}</desc>',
            f"<style>{style}</style>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            *parts,
            "</svg>",
            "",
        )
    )


def text(x: float, y: float, said: str, *, anchor: str = "start", extra: str = "") -> str:
    """Return *said* at a place."""
    place = f'x="{pixels(x)}" y="{pixels(y)}"'
    return f'<text {place} text-anchor="{anchor}"{extra}>{words(said)}</text>'


def words(said: str) -> str:
    """Return *said* as what a picture shows, whatever it holds."""
    return escape(printable(said))


def pixels(value: float) -> str:
    """Return pixels with one digit behind the point, and none where it would be 0."""
    return f"{value:.1f}".removesuffix(".0")


def legend(names: Iterable[str], *, x: float, y: float, wide: float) -> Iterator[str]:
    """Yield a square and a word for each of *names*, in the order of COLOURS, in lines of *wide* pixels."""
    left = x
    for number, name in enumerate(names):
        step = 30 + LETTER * len(name)
        if left > x and left + step > x + wide:
            left, y = x, y + 18
        colour = COLOURS[number % len(COLOURS)]
        yield f'<rect x="{pixels(left)}" y="{pixels(y - 10)}" width="11" height="11" fill="{colour}"/>'
        yield text(left + 16, y, name)
        left += step


@dataclass(frozen=True, slots=True)
class Logarithmic:
    """Decades from *low* to *high* over the pixels from *start* to *stop*."""

    low: int  # powers of ten
    high: int
    start: float
    stop: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, stop: float) -> "Logarithmic":
        """Return the whole decades that hold *values*, which are above 0; one where there are none."""
        logs = [log10(value) for value in values] or [0.0]
        low, high = floor(min(logs)), ceil(max(logs))
        return cls(low, max(high, low + 1), start, stop)

    def __call__(self, value: float) -> float:
        """Return the pixel of *value*."""
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    @property
    def ticks(self) -> tuple[float, ...]:
        """The whole powers of ten."""
        return tuple(10.0**power for power in range(self.low, self.high + 1))
