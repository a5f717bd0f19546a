"""A report as sections: what markdown and HTML both show, verdict first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vggprof._version import __version__
from vggprof.memory.forecast import Software
from vggprof.report import Report, Study
from vggprof.report.roofline import roof_of
from vggprof.views.charts import field_svg, layer_bytes_svg, roofline_svg, work_svg
from vggprof.views.compare import compare_document
from vggprof.views.document import Block, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.layers import layers_document
from vggprof.views.memory import memory_document
from vggprof.views.memory_plot import held_over
from vggprof.views.memory_svg import memory_svg
from vggprof.views.phrases import NOT_MODELLED, say_setup
from vggprof.views.report_answers import batches_that_fit, beside_published, side_by_side, verdicts
from vggprof.views.report_causes import causes_in_words

# Titles: of notes that explain, of those that a report gathers, and of the first table on memory that is for
# a closer look.
_READING, _ASSUMED, _BY_LAYER = "How to read this", "Assumed", "By layer, at the peak"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart; *name* tells it from the others of the report."""

    name: str
    svg: str
    alt: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it; *folded* is what a page opens on demand."""

    title: str
    blocks: tuple[Block, ...]
    pictures: tuple[Picture, ...] = ()
    commands: tuple[str, ...] = ()  # to be copied, a line each
    folded: bool = False


def title_of(report: Report) -> str:
    """Return the heading: ``vgg11 against alexnet``, ``vgg16``."""
    first, *others = report.archs
    return f"{', '.join(others)} against {first}" if others else first


def report_document(report: Report) -> Document:
    """Return what is said of *report* before its numbers: the verdict, why, and what fits."""
    said = (block for section in _leading(report) for block in section.blocks)
    return Document(title_of(report), (Lines((say_setup(report.setup),)), *said))


def sections(report: Report) -> Iterator[Section]:
    """Yield the sections of *report* in order."""
    yield from _leading(report)
    yield from _numbers(report)
    if not side_by_side(report):
        yield from _published(report)
    for at, study in enumerate(report.studies):
        yield from _memory(at, study)
    yield _work(report)
    for at, study in enumerate(report.studies):
        yield _layers(at, study)
    yield Section("What is assumed", (Notes("", (*report.assumptions, NOT_MODELLED)),))
    yield _again(report)


def _leading(report: Report) -> Iterator[Section]:
    yield Section("Verdict", tuple(verdicts(report)))
    if side_by_side(report):
        yield from _published(report)
    yield from _why(report)
    yield Section("Batches that fit", tuple(batches_that_fit(report)))


def _published(report: Report) -> Iterator[Section]:
    blocks = tuple(beside_published(report))
    if blocks:
        yield Section("Beside what was published", blocks)


def _why(report: Report) -> Iterator[Section]:
    if report.comparison is not None:
        notes = (each for each in compare_document(report.comparison).blocks if isinstance(each, Notes))
        found = (each for each in notes if each.title not in (_READING, _ASSUMED))
        yield Section("Why", (*causes_in_words(report.comparison), *found))


def _numbers(report: Report) -> Iterator[Section]:
    if report.comparison is not None:
        blocks = compare_document(report.comparison).blocks
        shown = (each for each in blocks if not isinstance(each, Notes) or _explains(each))
        yield Section("In numbers", tuple(shown))


def _memory(at: int, study: Study) -> Iterator[Section]:
    """Yield what the peak is made of, and layer by layer what a page folds away."""
    blocks = [block for block in memory_document(study.memory).blocks if not isinstance(block, Notes)]
    tables = [block.title if isinstance(block, Table) else "" for block in blocks]
    shown = tables.index(_BY_LAYER) if _BY_LAYER in tables else len(blocks)
    drawn = memory_svg(study.memory, f"memory{at}")
    pictures = (Picture(f"memory-{at + 1}", drawn, held_over(study.memory)),)
    yield Section(f"{study.arch}: memory", tuple(blocks[:shown]), pictures if drawn else ())
    if blocks[shown:]:
        yield Section(f"{study.arch}: memory, layer by layer", tuple(blocks[shown:]), folded=True)


def _work(report: Report) -> Section:
    profiles = [study.profile for study in report.studies]
    settings = report.software.settings
    roof = roof_of(report.cards[0].device, report.setup, settings)
    return Section(
        "Work, layer by layer",
        (),
        (
            Picture("work", work_svg(profiles, "work"), "A dot a layer: MACs against what they cost"),
            Picture("roofline", roofline_svg(profiles, roof, settings, "roofline"), "Roofline"),
            Picture("field", field_svg(profiles, "field"), "Growth of the receptive field"),
        ),
    )


def _layers(at: int, study: Study) -> Section:
    table = study.profile.table
    blocks = [block for block in layers_document(table).blocks if not at or not _explains(block)]
    picture = Picture(f"layers-{at + 1}", layer_bytes_svg(study.profile, f"layers{at}"), "Bytes by layer")
    return Section(f"{study.arch}: layers", (*blocks, *_times(study)), (picture,), folded=True)


def _explains(block: Block) -> bool:
    """Whether *block* says how tables are to be read, which is enough once."""
    return isinstance(block, Notes) and block.title == _READING


def _times(study: Study) -> Iterator[Block]:
    """Yield what each layer takes of a step, where that is known."""
    times = study.profile.times
    if times is not None:
        columns = (Column("layer", Unit.TEXT), Column("ms", Unit.NUMBER), Column("share", Unit.PERCENT))
        rows = tuple((name, ms, ms / times.step_ms) for name, ms in study.profile.layer_ms().items() if ms)
        yield Table(f"Time, {times.source}: a step takes {times.step_ms:.2f} ms", columns, rows)


def _again(report: Report) -> Section:
    said = Lines((f"Setup: {say_setup(report.setup)}", *_versions(report.software)))
    return Section("How to make this again", (said,), commands=report.commands)


def _versions(software: Software) -> Sequence[str]:
    library = software.cudnn.library
    torch, cuda = (".".join(map(str, numbers)) for numbers in (software.torch, software.cuda))
    return (
        f"vggprof {__version__}",
        f"torch {torch}, CUDA {cuda}",
        f"cuDNN {library.version}" if library is not None else "no cuDNN to ask",
    )
