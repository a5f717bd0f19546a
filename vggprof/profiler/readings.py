"""What the rows of a calibration's process say: bytes outside the allocator, stage by stage.

A row is what was read after a stage: ``gpu`` (bytes in use on the whole GPU by NVML), ``processes`` (pid and
bytes), ``me`` (the pid as the process knows it), ``runtime_used`` (cudaMemGetInfo's total less free) and
``reserved`` (by PyTorch's allocator). The first, ``before``, is from before the process had a context.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from vggprof.devices.calibrations import MeasuredRun, Method, Run, Stage, StageBytes

Row = Mapping[str, Any]

# Appended to a stage's name when its variety has run too.
MORE: Final = "_more"

# A recorder's names for stages of ours.
_ALSO: Final = {"adam": Stage.OPTIMIZER}


def measured_run(run: Run, rows: Sequence[Row]) -> tuple[MeasuredRun, Method, bool | None]:
    """Return the stages of *rows*, whose figures they are, and whether the process was alone on the GPU.

    Modules stay loaded, so what is outside the allocator never shrinks: a smaller figure later is another
    process's doing, or a rounding, and adds nothing. Rows of other stages only move the level. Raises
    ValueError without rows.
    """
    before, *after = rows
    if not after:
        raise ValueError("no stage was measured")
    method = _method(before, after)
    least: dict[Stage, int] = {}
    most: dict[Stage, int] = {}
    level = 0
    for row in after:
        now = max(level, _outside(row, before, method))
        name = str(row["stage"])
        stage = _stage(name.removesuffix(MORE))
        if stage is not None:
            added = now - level
            if not name.endswith(MORE):
                least[stage] = added
            most[stage] = most.get(stage, 0) + added
        level = now
    stages = tuple(StageBytes(stage, nbytes, most[stage]) for stage, nbytes in least.items())
    return MeasuredRun(run, stages), method, _alone(before, after)


def _stage(name: str) -> Stage | None:
    known = {stage.value: stage for stage in Stage} | _ALSO
    return known.get(name)


def _method(before: Row, after: Sequence[Row]) -> Method:
    """Return the surest figures that every row has."""
    if all(_mine(row, before) is not None for row in after):
        return Method.PROCESS
    if all(row.get("gpu") is not None for row in (before, *after)):
        return Method.GPU
    return Method.RUNTIME


def _outside(row: Row, before: Row, method: Method) -> int:
    """Return the bytes that the process holds outside the allocator after *row*."""
    match method:
        case Method.PROCESS:
            held = _mine(row, before) or 0
        case Method.GPU:
            held = row["gpu"] - before["gpu"]
        case Method.RUNTIME:
            held = row["runtime_used"]
        case _:
            assert_never(method)
    return int(held) - int(row["reserved"])


def _mine(row: Row, before: Row) -> int | None:
    """Return what NVML says that this process holds; None where it does not.

    In a container the pids that NVML lists may be the host's: then it is the only one that was not there.
    """
    listed: dict[int, int | None] = dict(row.get("processes") or ())
    if row["me"] in listed:
        return listed[row["me"]]
    new = listed.keys() - _pids(before)
    return listed[new.pop()] if len(new) == 1 else None


def _alone(before: Row, after: Sequence[Row]) -> bool | None:
    """Return whether no other process was seen; None where the driver lists none, not even this one."""
    if any(row.get("processes") is None for row in (before, *after)):
        return None
    if _pids(before) or any(len(_pids(row)) > 1 for row in after):
        return False
    return True if all(_pids(row) for row in after) else None


def _pids(row: Row) -> set[int]:
    return {pid for pid, _ in row.get("processes") or ()}
