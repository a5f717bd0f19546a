"""``vggprof report``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vggprof.cli.options import archs_argument, setup_options
from vggprof.cli.output import Output
from vggprof.cli.target import target_options
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.target import Target


@click.command("report")
@archs_argument
@setup_options
@target_options
@click.option(
    "--beside",
    metavar="NAME",
    multiple=True,
    help="A further GPU that the page lets one choose, or a size like 8GiB that this one may have.  "
    "[default: common ones of 4, 8, 12 and 24 GiB]",
)
@click.option(
    "--optimizers",
    metavar="LIST",
    help="Optimizers that the page lets one choose besides --optimizer.  [default: sgd,momentum,adam]",
)
@click.option(
    "--measurements",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take times from the measurements in FILE, each of an ARCH as it is named here and of this setup.",
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="Write report.md, report.html and the charts into the folder DIR, which is made if need be.",
)
def report_command(  # noqa: PLR0913 - an option each
    archs: tuple[str, ...],
    setup: Setup,
    target: "Target",
    *,
    beside: tuple[str, ...],
    optimizers: str | None,
    measurements: Path | None,
    output: Path,
) -> None:
    """Write a report on one ARCH, or on several held against the first: a page, markdown and charts.

    The page works offline; its slider shows other batches, GPUs and optimizers.
    """
    from vggprof import api, views

    _make(output)
    found = api.report(
        archs,
        setup,
        target,
        gpus=beside or None,
        optimizers=None if optimizers is None else [each.strip() for each in optimizers.split(",")],
        measurements=measurements,
    )
    for name, text in views.report_files(found).items():
        Output(Form.TABLE, output / name).write(text)
        click.echo(f"Written: {output / name}", err=True)


def _make(folder: Path) -> None:
    """Make *folder* where it is missing, before any work is done. Raises UsageError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
