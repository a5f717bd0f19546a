"""``vggprof runs``."""

from pathlib import Path

import click

from vggprof.cli.filename import FileName
from vggprof.cli.output import Output, as_file, output_options


@click.group("runs")
def runs_command() -> None:
    """List, show, export and delete the runs that `vggprof measure` has kept."""


@runs_command.command("list")
@output_options
def list_runs(out: Output) -> None:
    """List the runs that are kept, oldest first."""
    from vggprof import api, views

    out.write(views.runs(api.list_runs(), out.form))


@runs_command.command("show")
@click.argument("run")
@output_options
def show_run(run: str, out: Output) -> None:
    """Show RUN, a kept one or a file of measurements, beside what is predicted for it."""
    from vggprof import api, views

    found = api.find(run)
    if len(found) == 1:
        out.write(views.measurement(api.compare_measurement(found[0]), out.form))
    else:
        out.write(views.sweep(api.compare_sweep(found), out.form))


@runs_command.command("export")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=FileName(),
    help="Write the measurements to FILE, a line of JSON each; it can be read everywhere.",
)
def export_runs(runs: tuple[str, ...], output: Path) -> None:
    """Write runs into a file that `vggprof diff` and other machines read."""
    from vggprof import api

    place = as_file(output)
    assert place is not None
    place.write(api.export(runs))


@runs_command.command("delete")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
def delete_runs(runs: tuple[str, ...]) -> None:
    """Delete runs, all that are named or none."""
    from vggprof import api

    api.delete_runs(runs)
