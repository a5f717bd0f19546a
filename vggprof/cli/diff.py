"""``vggprof diff``."""

import click

from vggprof.cli.output import Output, output_options
from vggprof.errors import CheckFailed, UsageError


@click.command("diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option(
    "--limit",
    metavar="SHARE",
    help="Exit with 3 where a time or memory has grown beyond noise and by more than SHARE, like 5%; with 2 "
    "where that cannot be said: the runs are of different things, or have too few samples.",
)
@output_options
def diff_command(first: str, second: str, limit: str | None, out: Output) -> None:
    """Show what has changed from the first RUN to the second, and what of it is more than noise.

    RUN is the name of a kept run (see `vggprof runs list`), or a file with one measurement.
    """
    from vggprof import api, views

    share = None if limit is None else _share(limit)
    found = api.diff(first, second)
    if share is not None and (found.essential or not (found.broken or found.times or found.memory)):
        raise UsageError(views.diff_incomparable(found))
    out.write(views.diff(found, out.form))
    if share is not None and (found.broken or found.regressions(share)):
        raise CheckFailed(views.diff_failed(found, share))
    if share is not None and found.undecided(share):
        raise UsageError(views.diff_undecided(found, share))


def _share(text: str) -> float:
    """Return ``5%`` or ``0.05`` as a share of 1. Raises UsageError for anything else."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest.strip() or not 0 <= share < float("inf"):
        raise UsageError(f"{text!r} is not a limit; write it like 5% or 0.05")
    return share
