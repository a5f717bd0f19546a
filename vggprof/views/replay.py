"""A replayed file as text: how much of what was recorded the simulated allocator gives again."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, assert_never

from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import plural
from vggprof.views.table import text_of

if TYPE_CHECKING:
    from vggprof.memory.replay.check import Agreement
    from vggprof.memory.replay.files import ReplayedFile, ReplayedRun

# Runs whose disagreement, or whose rules, the text tells; JSON tells all.
SHOWN_RUNS: Final = 6
_SHOWN_SETUP: Final = 80  # characters of what an event file says of a run

_COLUMNS = (
    Column("run", Unit.TEXT),
    Column("allocations", Unit.EXACT),
    Column("same address", Unit.EXACT),
    Column("segments", Unit.EXACT),
    Column("same", Unit.EXACT),
    Column("given back", Unit.EXACT),
    Column("same", Unit.EXACT),
    Column("out of memory", Unit.EXACT),
    Column("same", Unit.EXACT),
    Column("end", Unit.TEXT),
)
_PEAK_COLUMNS = (
    Column("run", Unit.TEXT),
    Column("peak requested", Unit.BYTES),
    Column("peak allocated", Unit.BYTES),
    Column("peak reserved", Unit.BYTES),
    Column("retries", Unit.EXACT),
)
_COUNTS = (
    "allocations",
    "addresses_matched",
    "segments_recorded",
    "segments_matched",
    "releases_recorded",
    "releases_matched",
    "ooms_recorded",
    "ooms_matched",
)
_PEAKS = ("peak_requested_bytes", "peak_allocated_bytes", "peak_reserved_bytes", "alloc_retries")
_TIES = {
    "address": "the one at the lower address is taken, as by torch up to 2.11",
    "block": "the one that was made first is taken, as by torch 2.12",
    "segment": "the one in the older segment is taken, as by torch from 2.13 on",
}
_UNTOLD = (
    "The file does not tell the allocator's settings: they are torch's defaults, with expandable segments "
    "where it shows them."
)
_HOW = (
    "Each run is replayed from the state that the recording implies. An allocation agrees when the simulator "
    "puts it at the recorded address; where it does not, it is moved there, so that the next one is judged "
    "for itself.",
    "Segments are what the driver was asked for (cudaMalloc, or pages of expandable segments); where it put "
    "them is taken as recorded. At the end every block is compared, where the file has them.",
)


def replay(replayed: "ReplayedFile", form: Form) -> str:
    """Return *replayed* in *form*.

    As a table it begins like this::

    transformer_training.pickle: replay

    3,505 of 3,505 addresses and 152 of 152 segments are as recorded

    run       allocations  same address  segments  same  given back  same  out of memory  same  end
    --------  -----------  ------------  --------  ----  ----------  ----  -------------  ----  ----
    device 0        3,505         3,505       152   152           0     0              0     0  same
    """
    match form:
        case Form.TABLE:
            return text_of(replay_document(replayed))
        case Form.MARKDOWN:
            return markdown_of(replay_document(replayed))
        case Form.CSV:
            header = ("run", *_COUNTS, "end_matched", "disagreement_event", *_PEAKS)
            return csv_of(header, map(_csv_row, replayed.runs))
        case Form.JSON:
            return json_of("replay", _result(replayed))
        case _:
            assert_never(form)


def replay_document(replayed: "ReplayedFile") -> Document:
    """Return what people read of *replayed*."""
    runs = replayed.runs
    notes = (
        Notes("Where they part first", tuple(_disagreements(replayed))),
        Notes("What was replayed", tuple(_setups(runs))),
        Notes("Assumed", _assumptions(runs)),
        Notes("How to read this", _HOW),
    )
    blocks: tuple[Block, ...] = (
        Lines((_say_addresses(replayed),)),
        Table("", _COLUMNS, tuple(map(_row, runs))),
        Table("Peaks in the replay", _PEAK_COLUMNS, tuple(map(_peak_row, runs))),
        *(note for note in notes if note.items),
    )
    return Document(f"{replayed.path}: replay", blocks)


def _say_addresses(replayed: "ReplayedFile") -> str:
    """Return how much agrees: ``3,505 of 3,505 addresses and 152 of 152 segments are as recorded``."""
    addresses = f"{replayed.addresses_matched:,} of {replayed.allocations:,} addresses"
    segments = f"{replayed.segments_matched:,} of {replayed.segments_recorded:,} segments"
    return f"{addresses} and {segments} are as recorded"


def _row(run: "ReplayedRun") -> tuple[Cell, ...]:
    agreement = run.agreement
    end = {None: None, True: "same", False: "differs"}[agreement.layout_matched]
    return (run.name, *(getattr(agreement, count) for count in _COUNTS), end)


def _peak_row(run: "ReplayedRun") -> tuple[Cell, ...]:
    return (run.name, *(getattr(run.agreement.stats, peak) for peak in _PEAKS))


def _csv_row(run: "ReplayedRun") -> tuple[Cell, ...]:
    parted = run.agreement.disagreement
    return (
        run.name,
        *(getattr(run.agreement, count) for count in _COUNTS),
        run.agreement.layout_matched,
        None if parted is None else parted.event,
        *(getattr(run.agreement.stats, peak) for peak in _PEAKS),
    )


def _disagreements(replayed: "ReplayedFile") -> Iterator[str]:
    parted = [run for run in replayed.runs if not run.agreement.complete]
    for run in parted[:SHOWN_RUNS]:
        yield f"{run.name}: {_say_disagreement(run.agreement)}."
    if len(parted) > SHOWN_RUNS:
        yield f"{plural(len(parted) - SHOWN_RUNS, 'run')} more; JSON has them all."


def _say_disagreement(agreement: "Agreement") -> str:
    if agreement.disagreement is None:
        return "every event agrees, but not every block at the end"
    return f"event {agreement.disagreement.event:,}: {agreement.disagreement.what}"


def _setups(runs: "tuple[ReplayedRun, ...]") -> Iterator[str]:
    told = [run for run in runs if run.setup]
    for run in told[:SHOWN_RUNS]:
        words = ", ".join(f"{name} {value}" for name, value in run.setup)
        yield f"{run.name}: {words if len(words) <= _SHOWN_SETUP else f'{words[:_SHOWN_SETUP]}...'}"
    if len(told) > SHOWN_RUNS:
        yield f"{plural(len(told) - SHOWN_RUNS, 'run')} more; JSON has them all."


def _assumptions(runs: "tuple[ReplayedRun, ...]") -> tuple[str, ...]:
    """Return what the replay rests on that the file does not tell, a sentence each."""
    rules = " or ".join(_TIES[tie] for tie in sorted({run.agreement.tie.value for run in runs}))
    ties = f"Of free blocks of one size {rules}: the file does not tell its torch, and this agrees best."
    return (ties,) if all(run.settings_told for run in runs) else (_UNTOLD, ties)


def _result(replayed: "ReplayedFile") -> dict[str, Json]:
    first = replayed.first_disagreement
    return {
        "file": replayed.path,
        "allocations": replayed.allocations,
        "addresses_matched": replayed.addresses_matched,
        "segments_recorded": replayed.segments_recorded,
        "segments_matched": replayed.segments_matched,
        "complete": replayed.complete,
        "disagreement": None if first is None else {"run": first.name, **_disagreement_json(first.agreement)},
        "runs": [_run_json(run) for run in replayed.runs],
        "assumptions": _assumptions(replayed.runs),
    }


def _run_json(run: "ReplayedRun") -> dict[str, Json]:
    agreement = run.agreement
    return {
        "name": run.name,
        "setup": dict(run.setup) or None,
        **{count: getattr(agreement, count) for count in _COUNTS},
        "end_matched": agreement.layout_matched,
        "complete": agreement.complete,
        "disagreement": None if agreement.complete else _disagreement_json(agreement),
        "settings": _settings_json(run),
        "stats": asdict(agreement.stats),
        "marks": [asdict(mark) for mark in agreement.marks],
    }


def _disagreement_json(agreement: "Agreement") -> dict[str, Json]:
    """Return where they part; ``event`` is null where only the end tells."""
    parted = agreement.disagreement
    return {"event": None if parted is None else parted.event, "what": _say_what(agreement)}


def _say_what(agreement: "Agreement") -> str:
    return _say_disagreement(agreement) if agreement.disagreement is None else agreement.disagreement.what


def _settings_json(run: "ReplayedRun") -> dict[str, Json]:
    """Return the settings that decide where blocks come to be, and whether the file tells them."""
    config = run.agreement.config
    return {
        "told": run.settings_told,
        "tie": config.tie.value,
        "expandable_segments": config.expandable_segments,
        "large_segment_bytes": config.large_segment_bytes,
        "max_split_bytes": run.max_split_bytes,
        "max_non_split_rounding_bytes": config.tolerance_bytes,
        "roundup_divisions": config.roundup_divisions,
        "garbage_collection_threshold": config.garbage_collection_threshold,
    }
