"""A report as sections: what markdown and HTML both show, verdict first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vggprof._version import __version__
from vggprof.memory.forecast import Software
from vggprof.report import Report, Study
from vggprof.report.roofline import roof_of
from vggprof.views.charts import field_svg, layer_bytes_svg, roofline_svg, work_svg
from vggprof.views.compare import compare_document
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.layers import layers_document
from vggprof.views.memory import memory_document
from vggprof.views.memory_svg import memory_svg
from vggprof.views.phrases import NOT_MODELLED, say_setup
from vggprof.views.verdict import verdict

# Titles: of notes that explain, and of the first table on memory that is for a closer look.
_READING, _BY_LAYER = "How to read this", "By layer, at the peak"


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
    folded: bool = False


def title_of(report: Report) -> str:
    """Return the heading: ``vgg11 against alexnet``, ``vgg16``."""
    first, *others = report.archs
    return f"{', '.join(others)} against {first}" if others else first


def report_document(report: Report) -> Document:
    """Return what is said of *report* before its charts: the verdict, what fits, and why."""
    said = tuple(
        block for _, section in zip(range(3), sections(report), strict=False) for block in section.blocks
    )
    return Document(title_of(report), (Lines((say_setup(report.setup),)), *said))


def sections(report: Report) -> Iterator[Section]:
    """Yield the sections of *report* in order."""
    yield Section("Verdict", tuple(_verdicts(report)))
    yield Section("Batches that fit", tuple(_grid(report)))
    yield from _comparison(report)
    yield from _published(report)
    for at, study in enumerate(report.studies):
        yield from _memory(at, study)
    yield _work(report)
    for at, study in enumerate(report.studies):
        yield _layers(at, study)
    yield Section("What is assumed", (Notes("", (*report.assumptions, NOT_MODELLED)),))
    yield Section("How to make this again", tuple(_again(report)))


def _verdicts(report: Report) -> Iterator[Block]:
    if len(report.cards) == 1:
        for study in report.studies:
            only = study.memory.single
            assert only is not None
            first, *others = verdict(only)
            yield Lines((f"{study.arch} on {first}", *others))
        return
    columns = [Column(card.device.name, Unit.TEXT) for card in report.cards]
    yield Table(
        "",
        (Column("network", Unit.TEXT), *columns),
        tuple(
            (study.arch, *(card.prediction.status.value for card in study.memory.cards))
            for study in report.studies
        ),
    )


def _grid(report: Report) -> Iterator[Block]:
    """Yield the largest batch by GPU and optimizer, and for the setup that was asked about each batch."""
    several = len(report.setups) > 1
    if any(each.largest_batch is not None for each in report.studies[0].slices):
        heads = [Column(setup.optimizer.value if several else "batch", Unit.EXACT) for setup in report.setups]
        rows = tuple(_largest_rows(report))
        yield Table("Largest batch", (Column("network", Unit.TEXT), Column("GPU", Unit.TEXT), *heads), rows)
    batches = [point.batch for point in report.studies[0].slices[0].points]
    heads = [Column(str(batch), Unit.TEXT) for batch in batches]
    rows = tuple(
        (study.arch, each.card.device.name, *(point.status.value for point in each.points))
        for study in report.studies
        for each in study.slices
        if each.setup == report.setup
    )
    how = f" with {report.setup.optimizer.value}" if report.setup.training else ""
    yield Table(f"By batch{how}", (Column("network", Unit.TEXT), Column("GPU", Unit.TEXT), *heads), rows)


def _largest_rows(report: Report) -> Iterator[tuple[Cell, ...]]:
    for study in report.studies:
        for card in report.choices:
            found = (study.slice(card, setup) for setup in report.setups)
            yield study.arch, card.device.name, *(None if s is None else s.largest_batch for s in found)


def _comparison(report: Report) -> Iterator[Section]:
    if report.comparison is not None:
        blocks = compare_document(report.comparison).blocks
        notes = [block for block in blocks if isinstance(block, Notes) and block.title != "Assumed"]
        findings = tuple(block for block in notes if block.title != _READING)
        reading = tuple(block for block in notes if block.title == _READING)
        yield Section("Why", findings)
        yield Section("In numbers", (*(b for b in blocks if not isinstance(b, Notes)), *reading))


def _published(report: Report) -> Iterator[Section]:
    known = [study for study in report.studies if study.published is not None]
    if known:
        columns = (
            Column("network", Unit.TEXT),
            Column("parameters, published", Unit.SAID),
            Column("parameters", Unit.EXACT),
            Column("MACs of an image", Unit.COUNT),
            Column("memory reserved", Unit.BYTES),
            Column("top-5 error, %", Unit.NUMBER),
            Column("with scale jittering, %", Unit.NUMBER),
        )
        sources = tuple(study.published.source for study in known if study.published is not None)
        rows = tuple(_published_row(study) for study in known)
        said = "Errors are of one network on ImageNet's validation set at one test scale; the rest is ours."
        yield Section("Beside what was published", (Table("", columns, rows), Notes("", (said, *sources))))


def _published_row(study: Study) -> tuple[Cell, ...]:
    said, totals = study.published, study.profile.table.totals
    assert said is not None
    return (
        study.arch,
        f"{said.params_millions} M",
        totals.params,
        totals.macs // study.memory.setup.batch,
        study.profile.peak_reserved_bytes,
        said.top5_percent,
        said.top5_jittered_percent,
    )


def _memory(at: int, study: Study) -> Iterator[Section]:
    """Yield what the peak is made of, and layer by layer what a page folds away."""
    blocks = [block for block in memory_document(study.memory).blocks if not isinstance(block, Notes)]
    tables = [block.title if isinstance(block, Table) else "" for block in blocks]
    shown = tables.index(_BY_LAYER) if _BY_LAYER in tables else len(blocks)
    drawn = memory_svg(study.memory, f"memory{at}")
    pictures = (Picture(f"memory-{at + 1}", drawn, f"{study.arch}: memory over the training"),)
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
    blocks = [block for block in layers_document(table).blocks if not isinstance(block, Notes)]
    picture = Picture(f"layers-{at + 1}", layer_bytes_svg(study.profile, f"layers{at}"), "Bytes by layer")
    return Section(f"{study.arch}: layers", (*blocks, *_times(study)), (picture,), folded=True)


def _times(study: Study) -> Iterator[Block]:
    """Yield what each layer takes of a step, where that is known."""
    times = study.profile.times
    if times is not None:
        columns = (Column("layer", Unit.TEXT), Column("ms", Unit.NUMBER), Column("share", Unit.PERCENT))
        rows = tuple((name, ms, ms / times.step_ms) for name, ms in study.profile.layer_ms().items() if ms)
        yield Table(f"Time, {times.source}: a step takes {times.step_ms:.2f} ms", columns, rows)


def _again(report: Report) -> Iterator[Block]:
    if report.commands:
        yield Notes("", report.commands)
    yield Lines((f"Setup: {say_setup(report.setup)}", *_versions(report.software)))


def _versions(software: Software) -> Sequence[str]:
    library = software.cudnn.library
    torch, cuda = (".".join(map(str, numbers)) for numbers in (software.torch, software.cuda))
    return (
        f"vggprof {__version__}",
        f"torch {torch}, CUDA {cuda}",
        f"cuDNN {library.version}" if library is not None else "no cuDNN to ask",
    )
