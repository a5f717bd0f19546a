"""Where a network can be cut into stages: between layers that a single tensor passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeAlias

from torch import Tensor

from vggprof.errors import ArchError, did_you_mean
from vggprof.trace import Kind, Phase, Trace

# Runs the modules of a stage.
Run: TypeAlias = Callable[[Tensor], Tensor]

# Stands for every stage but the one without pixels.
STAGES = "stages"
_CLASSIFIER = "classifier"


class NotWholeError(Exception):
    """A stage is no run of modules with one tensor going in and one coming out; says why."""


def stage_layers(trace: Trace, stages: Sequence[str], wanted: Sequence[str]) -> dict[str, range]:
    """Return the layers (by index) of each of the *wanted* stages; *stages* names that of every layer.

    A stage begins with the whole block that changes the resolution, at the last cut at or before it. Raises
    ArchError for a stage that is not there or that cannot be cut out.
    """
    names = list(dict.fromkeys(stages))
    chosen = _chosen(trace.arch, names, wanted)
    cuts = _cuts(trace)
    first = [stages.index(name) for name in names]
    blocks = [_block(trace, at, after) for at, after in zip(first, [-1, *first], strict=False)]
    starts = [max(cut for cut in cuts if cut <= block) for block in blocks]
    ends = [*starts[1:], len(trace.layers)]
    ranges = dict(zip(names, map(range, starts, ends), strict=True))
    empty = next((name for name in names if name in chosen and not ranges[name]), None)
    if empty is not None:
        raise ArchError(
            f"{trace.arch}: {empty} cannot be checkpointed: no single tensor leads from it to the next stage"
        )
    return {name: ranges[name] for name in names if name in chosen}


def _chosen(arch: str, names: Sequence[str], wanted: Sequence[str]) -> set[str]:
    chosen = {name for name in names if name != _CLASSIFIER} if STAGES in wanted else set()
    for name in wanted:
        if name != STAGES and name not in names:
            near = did_you_mean(name, names)
            raise ArchError(f"{arch}: no stage is called {name!r}; there are {', '.join(names)}{near}")
        chosen.add(name)
    return chosen


def _block(trace: Trace, layer: int, after: int) -> int:
    """Return the first layer of the outermost module around *layer* that begins later than *after*."""
    parts = trace.layers[layer].module.split(".")
    around = (".".join(parts[:count]) + "." for count in range(1, len(parts) + 1))
    begins = (
        next(at for at, inner in enumerate(trace.layers) if f"{inner.module}.".startswith(path))
        for path in around
    )
    return next((begin for begin in begins if begin > after), layer)


def _cuts(trace: Trace) -> list[int]:
    """Return the layers before which exactly one tensor passes, of those that come from the input."""
    kept = {i for i, storage in enumerate(trace.storages) if storage.kind in (Kind.PARAMETER, Kind.BUFFER)}
    made: dict[int, int] = {}
    read: dict[int, int] = {}
    for op in trace.step_operators(0):
        if op.phase is not Phase.FORWARD or op.layer is None:
            continue
        for operand in op.inputs:
            if operand.storage not in kept:
                made.setdefault(operand.storage, -1)
                read[operand.storage] = max(op.layer, read.get(operand.storage, -1))
        for operand in op.born:
            made.setdefault(operand.storage, op.layer)
    change = [0] * (len(trace.layers) + 2)
    for storage, end in read.items():  # passes before every layer after its maker, up to its last reader
        change[made[storage] + 1] += 1
        change[end + 1] -= 1
    return [layer for layer, passing in enumerate(accumulate(change[:-2])) if passing == 1 or not layer]
