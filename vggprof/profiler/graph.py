"""A whole step as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

from vggprof.errors import UsageError
from vggprof.profiler.stage import Loop, Unwatched

# As torch's documentation asks before a capture: "CUDA Graphs", docs/source/notes/cuda.rst.
_WARM_UPS = 3


def as_graph(loop: Loop) -> Callable[[], None]:
    """Capture a step of *loop* and return what replays it, on the batch that lies on the device.

    Raises UsageError where the step does what a graph cannot hold.
    """
    loop.stage.observer = Unwatched()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            loop.step()
    torch.cuda.current_stream().wait_stream(side)
    loop.stage.module.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            loop.step()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        line = str(error).splitlines()[0]
        raise UsageError(f"--execution graph: a CUDA graph cannot hold this step: {line}") from error
    return graph.replay
