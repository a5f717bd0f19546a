"""A report as one HTML page that needs nothing from elsewhere."""

from vggprof._version import __version__
from vggprof.memory.verdict import Estimate
from vggprof.report import Point, Report, Slice
from vggprof.trace import Setup
from vggprof.units import format_bytes
from vggprof.views.html import Shown, filled, shown
from vggprof.views.phrases import say_setup
from vggprof.views.report_sections import Section, sections, title_of
from vggprof.views.verdict import say_failing

_COLUMNS = (
    "verdict",
    "whole process",
    "reserved",
    "allocated",
    "largest batch, FITS or TIGHT",
    "where it fails",
)


def report_html(report: Report) -> str:
    """Return *report* as a page whose slider and choices look verdicts up in the grid that it carries."""
    return filled(
        "report.html",
        title=title_of(report),
        subtitle=say_setup(report.setup),
        sections=tuple(map(_section, sections(report))),
        grid=_grid(report),
        version=__version__,
    )


def _section(section: Section) -> dict[str, str | bool | tuple[Shown | str, ...]]:
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2, which most runs do without

    return {
        "title": section.title,
        "folded": section.folded,
        "blocks": shown(section.blocks),
        "pictures": tuple(Markup(picture.svg) for picture in section.pictures),
        "commands": section.commands,
    }


def _grid(report: Report) -> dict[str, object]:
    """Return what the page looks up; bytes stand beside what people read, nothing else is computed there."""
    first, choices, setups = report.studies[0], report.choices, report.setups
    batches = [point.batch for point in first.slices[0].points]
    return {
        "archs": report.archs,
        "gpus": [card.device.name for card in choices],
        "optimizers": [_optimizer(setup) for setup in setups],
        "batches": batches,
        "asked": [
            batches.index(report.setup.batch), choices.index(report.cards[0]), setups.index(report.setup)
        ],
        "columns": _COLUMNS,
        "usable": [_say_usable(first.slice(card, report.setup)) for card in choices],
        "points": [
            [[_points(study.slice(card, setup)) for setup in setups] for card in choices]
            for study in report.studies
        ],
    }  # fmt: skip


def _say_usable(found: Slice) -> str:
    return f"{format_bytes(found.usable_bytes)} of the {found.card.device.name} are usable."


def _optimizer(setup: Setup) -> str:
    return setup.optimizer.value if setup.training else "none"


def _points(found: Slice) -> list[dict[str, object]]:
    return [{"said": _said(point), "bytes": _bytes(point)} for point in found.points]


def _said(point: Point) -> list[str]:
    return [
        point.status.value,
        _say_estimate(point.process),
        _say_estimate(point.reserved),
        _say_estimate(point.allocated),
        "-" if point.largest_batch is None else f"{point.largest_batch:,}",
        "" if point.failure is None else say_failing(point.failure),
    ]


def _bytes(point: Point) -> list[int | None]:
    sizes = (point.process, point.reserved, point.allocated)
    return [end for size in sizes for end in (size.low, size.likely, size.high)]


def _say_estimate(size: Estimate) -> str:
    """Return ``3.79 GiB``, ``6.73 GiB (6.37 GiB to 7.21 GiB)``, or the ends alone where none is likely."""
    low, high = format_bytes(size.low), format_bytes(size.high)
    if low == high:
        return low
    return f"{low} to {high}" if size.likely is None else f"{format_bytes(size.likely)} ({low} to {high})"
