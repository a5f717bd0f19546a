"""Networks side by side, and reports of one or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vggprof.api.networks import Subject, trace_arch, trace_of
from vggprof.api.prediction import forecasting
from vggprof.api.runs import read_measurements
from vggprof.compare import Alignment, Comparison, Profile, profile, profile_on, timed
from vggprof.compare import compare as compare_profiles
from vggprof.errors import UsageError
from vggprof.spec.arch import edited, parse_arch
from vggprof.target import Target
from vggprof.trace import Optimizer, Setup
from vggprof.trace.setup import word

if TYPE_CHECKING:
    from pathlib import Path

    from vggprof.report import Asked, Report


def compare(  # noqa: PLR0913 - what can be asked
    what: Sequence[Subject],
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    what_if: Sequence[str] = (),
    align: Alignment | str | None = None,
    measurements: str | Path | None = None,
) -> Comparison:
    """Return networks side by side, each against the first, and why they differ.

    On the GPU of *target*, or the one that is here; without one, peaks are of tensors alone. *what_if* are
    edits of the last ARCH (``"stage1 stride 4"``), each one network more. *align* says which layers are held
    against each other; *measurements* is a file to take times from. Raises as `memory` does, and UsageError
    for fewer than two, an edit that is none, or a file without a measurement of what is compared.
    """
    subjects = [*what, *(_edited(what[-1], edits) for edits in what_if if what)]
    if len(subjects) < 2:
        raise UsageError(
            f"a comparison needs two architectures or more; got {len(subjects)}; name another, or an edit of "
            "it to set beside it (what_if, --what-if)"
        )
    aligned = None if align is None else word(Alignment, align)
    profiles = tuple(_profiles(subjects, setup, target or Target()))
    if measurements is None:
        return compare_profiles(profiles, aligned)
    found = compare_profiles(timed(profiles, read_measurements(measurements)), aligned)
    return replace(found, assumptions=(*found.assumptions, *_untimed(found, measurements)))


def report(  # noqa: PLR0913 - what can be asked
    what: Sequence[Subject],
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    gpus: Sequence[str] | None = None,
    optimizers: Sequence[str] | None = None,
    measurements: str | Path | None = None,
) -> Report:
    """Return all that a report says of one network, or of several held against the first.

    *gpus* are those that its page lets one choose besides the one of *target*: names, or sizes that it may
    have instead; by default common ones of 4 to 24 GiB. *optimizers* are those besides the one of *setup*, by
    default sgd, momentum and adam. *measurements* is a file to take times from. Raises as `compare` does.
    """
    from vggprof.api.reporting import report_on

    if not what:
        raise UsageError("a report needs an architecture")
    kept = () if measurements is None else read_measurements(measurements)
    more = () if measurements is None else ("--measurements", str(measurements))
    asked = [_asked(one, setup) for one in what]
    chosen = None if optimizers is None else [word(Optimizer, each) for each in optimizers]
    target = target or Target()
    return report_on(asked, target, gpus=gpus, optimizers=chosen, measurements=kept, more=more)


def _profiles(what: Sequence[Subject], setup: Setup | None, target: Target) -> Iterator[Profile]:
    """Yield what there is to compare: on the card of *target*; where there are several, on none."""
    cards = target.cards()
    for one in what:
        if len(cards) != 1:
            yield profile(trace_of(one, setup))
        else:
            with forecasting(one, setup, cards, target.software()) as (forecast, batch):
                yield profile_on(forecast, batch, cards[0], search=isinstance(one, str))


def _untimed(found: Comparison, measurements: str | Path) -> Iterator[str]:
    """Say of which networks the file *measurements* tells no time; there is none in the comparison either."""
    for arch, source in zip(found.archs, found.time_sources, strict=True):
        if source is None:
            yield f"No time of {arch.name}: {measurements} has no measurement of it in this setup."


def _edited(what: Subject, edits: str) -> str:
    """Return *what* as an ARCH with *edits* more."""
    if not isinstance(what, str):
        raise UsageError("only specs can be edited; a trace shows a module as it is")
    return str(edited(parse_arch(what), edits))


def _asked(what: Subject, setup: Setup | None) -> Asked:
    """Return *what* as a report asks about it; of a trace there is only the setup that it was made in."""
    from vggprof.report import Asked

    if isinstance(what, str):
        return Asked(what, setup or Setup(), partial(trace_arch, what))
    trace = trace_of(what, setup)
    return Asked(trace.arch, trace.setup, lambda _setup: trace, search=False)
