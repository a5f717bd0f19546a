"""A predicted training as a memory snapshot of torch."""

from typing import TYPE_CHECKING

from vggprof.memory.recording import stacks
from vggprof.memory.replay.predicted import snapshot_bytes

if TYPE_CHECKING:
    from vggprof.memory.report import MemoryReport


def memory_snapshot(report: "MemoryReport") -> bytes:
    """Return the file that torch.cuda.memory._dump_snapshot would write of *report*'s likely run.

    Where memory runs out it ends there. Raises ValueError for a report without a recording.
    """
    recording = report.recording
    if recording is None:
        raise ValueError("the report has no recording; ask for one")
    return snapshot_bytes(recording.trace, stacks(recording))
