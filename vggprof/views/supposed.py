"""A recorded file under other allocator settings, or on a smaller card, as text."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, assert_never

from vggprof.forms import Form
from vggprof.units import format_bytes
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import plural
from vggprof.views.replay import SHOWN_RUNS
from vggprof.views.table import text_of

if TYPE_CHECKING:
    from vggprof.memory.allocator import OutOfMemory
    from vggprof.memory.replay.supposed import SupposedFile, SupposedRun, Supposition

_COLUMNS = (
    Column("run", Unit.TEXT),
    Column("settings", Unit.TEXT),
    Column("peak allocated", Unit.BYTES),
    Column("peak reserved", Unit.BYTES),
    Column("fragmentation", Unit.BYTES),
    Column("retries", Unit.EXACT),
    Column("out of memory", Unit.EXACT),
)
_CSV_HEADER: Final = (
    "run",
    "settings",
    "peak_allocated_bytes",
    "peak_reserved_bytes",
    "fragmentation_bytes",
    "alloc_retries",
    "ooms",
)
_HOW: Final = (
    "Fragmentation is the peak of what is reserved less the peak of what is allocated. A retry is an "
    "allocation for which the whole cache was given back to the device first.",
    "The program asks for the same memory in the same order, whatever the settings: what it would have done "
    "after a failure, or what cuDNN would choose with less memory, is not known.",
)
_REBUILT: Final = (
    "What was held when the recording began is allocated anew, in the order of its addresses and without "
    "the cache of that moment."
)
_IDLE: Final = (
    "garbage_collection_threshold does nothing without a memory limit; set one with --gpu-memory and "
    "--allocator per_process_memory_fraction:SHARE."
)
_CARD: Final = "The size of the card is what PyTorch's allocator can have: the GPU's memory less the context."
_PARTED: Final = (
    "The simulator does not give the recording again everywhere, so that its figures for it may differ from "
    "what was; `vggprof replay` alone shows where."
)


def supposed(found: "SupposedFile", form: Form) -> str:
    """Return *found* in *form*.

    As a table it begins like this::

        transformer_training.pickle: replay under other settings

        Changed: expandable_segments:True

        run       settings  peak allocated  peak reserved  fragmentation  retries  out of memory
        --------  --------  --------------  -------------  -------------  -------  -------------
        device 0  recorded        5.51 GiB       6.03 GiB     531.88 MiB        0              0
        device 0  changed         5.47 GiB       5.51 GiB      38.00 MiB        0              0
    """
    match form:
        case Form.TABLE:
            return text_of(supposed_document(found))
        case Form.MARKDOWN:
            return markdown_of(supposed_document(found))
        case Form.CSV:
            return csv_of(_CSV_HEADER, (row for run in found.runs for row in _rows(run)))
        case Form.JSON:
            return json_of("replay", _result(found))
        case _:
            assert_never(form)


def supposed_document(found: "SupposedFile") -> Document:
    """Return what people read of *found*."""
    ends = Notes("Where memory runs out", tuple(_ends(found)))
    blocks: tuple[Block, ...] = (
        Lines((f"Changed: {_say_supposition(found.supposition)}",)),
        Table("", _COLUMNS, tuple(row for run in found.runs for row in _rows(run))),
        *((ends,) if ends.items else ()),
        Notes("Assumed", _assumptions(found)),
    )
    return Document(f"{found.path}: replay under other settings", blocks)


def _say_supposition(supposition: "Supposition") -> str:
    """Return ``expandable_segments:True, on a card with 8.00 GiB``."""
    parts = [part for part in (supposition.settings, supposition.changes) if part]
    settings = ",".join(parts) or ("as recorded" if supposition.settings is None else "PyTorch's defaults")
    if supposition.memory_bytes is None:
        return settings
    return f"{settings}, on a card with {format_bytes(supposition.memory_bytes)}"


def _rows(run: "SupposedRun") -> Iterator[tuple[Cell, ...]]:
    both = (
        ("recorded", run.recorded_stats, run.recorded_fragmentation_bytes),
        ("changed", run.found.stats, run.found.fragmentation_bytes),
    )
    for name, stats, fragmentation in both:
        yield (
            run.recorded.name,
            name,
            stats.peak_allocated_bytes,
            stats.peak_reserved_bytes,
            fragmentation,
            stats.alloc_retries,
            stats.ooms,
        )


def _ends(found: "SupposedFile") -> Iterator[str]:
    failed = [run for run in found.runs if run.found.oom is not None]
    for run in failed[:SHOWN_RUNS]:
        yield f"{run.recorded.name}: {_say_end(run)}"
    if len(failed) > SHOWN_RUNS:
        yield f"{plural(len(failed) - SHOWN_RUNS, 'run')} more; JSON has them all."


def _say_end(run: "SupposedRun") -> str:
    oom, event = run.found.oom, run.found.oom_event
    assert oom is not None
    asked = format_bytes(oom.requested_bytes)
    if event == -1:
        return f"not even what was held when the recording began finds its memory; {asked} fail first."
    return f"event {event:,} of {run.events:,} asks for {asked}. PyTorch would say: {oom.message}"


def _assumptions(found: "SupposedFile") -> tuple[str, ...]:
    runs = found.runs
    said = (
        (_REBUILT, any(run.found.rebuilt_start and run.began_bytes for run in runs)),
        (_IDLE, any(run.idle_threshold for run in runs)),
        (_CARD, found.supposition.memory_bytes is not None),
        (_PARTED, not all(run.recorded.agreement.complete for run in runs)),
    )
    return (*_HOW, *(sentence for sentence, holds in said if holds))


def _result(found: "SupposedFile") -> dict[str, Json]:
    supposition = found.supposition
    return {
        "file": found.path,
        "what_if": {
            "settings": supposition.settings,
            "changes": supposition.changes or None,
            "memory_bytes": supposition.memory_bytes,
        },
        "runs": [_run(run) for run in found.runs],
        "assumptions": _assumptions(found),
    }


def _run(run: "SupposedRun") -> dict[str, Json]:
    found = run.found
    return {
        "name": run.recorded.name,
        "recorded": {
            "fragmentation_bytes": run.recorded_fragmentation_bytes,
            "complete": run.recorded.agreement.complete,
            "stats": asdict(run.recorded_stats),
        },
        "changed": {
            "fragmentation_bytes": found.fragmentation_bytes,
            "rebuilt_start": found.rebuilt_start,
            "stats": asdict(found.stats),
            "oom": None if found.oom is None else _oom(found.oom, found.oom_event),
        },
    }


def _oom(oom: "OutOfMemory", event: int | None) -> dict[str, Json]:
    """Return the failure; ``event`` is null where not even the start finds its memory."""
    return {
        "event": None if event == -1 else event,
        "requested_bytes": oom.requested_bytes,
        "allocated_bytes": oom.allocated_bytes,
        "reserved_bytes": oom.reserved_bytes,
        "message": oom.message,
    }
