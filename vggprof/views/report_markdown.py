"""A report as markdown, with its charts as files beside it."""

from collections.abc import Iterator

from vggprof.report import Report
from vggprof.views.document import printable
from vggprof.views.markdown import blocks_of, plain
from vggprof.views.phrases import say_setup
from vggprof.views.report_sections import Section, sections, title_of


def report_markdown(report: Report, name: str = "report") -> str:
    """Return *report* as markdown; its charts are called ``<name>-<chart>.svg``.

    ::

        # vgg11 against alexnet

        batch 32, training with momentum, fp32

        ## Verdict

        alexnet on GeForce RTX 3060 12GB: FITS, 10.12 GiB to spare of 11.63 GiB usable ...
    """
    parts = [f"# {plain(title_of(report))}", plain(say_setup(report.setup))]
    for section in sections(report):
        parts += _parts(section, name)
    return "\n\n".join(parts) + "\n"


def report_charts(report: Report, name: str = "report") -> dict[str, str]:
    """Return the charts of *report* as SVG, by the names of their files."""
    return {f"{name}-{p.name}.svg": p.svg for section in sections(report) for p in section.pictures}


def _parts(section: Section, name: str) -> Iterator[str]:
    yield f"## {plain(section.title)}"
    for picture in section.pictures:
        yield f"![{plain(picture.alt)}]({name}-{picture.name}.svg)"
    if section.commands:
        yield "\n".join(f"    {printable(command)}" for command in section.commands)
    yield from blocks_of(section.blocks, level=3)
