"""A whole step as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

from vggprof.errors import UsageError
from vggprof.profiler.place import ran_out_of_memory
from vggprof.profiler.stage import Loop, Unwatched

# As torch's documentation asks before a capture: "CUDA Graphs", docs/source/notes/cuda.rst.
_WARM_UPS = 3


def as_graph(loop: Loop) -> Callable[[], None]:
    """Capture a step of *loop* and return what replays it, on the batch that lies on the device.

    Raises UsageError where the step does what a graph cannot hold, and what torch raises for want of memory.
    """
    loop.stage.observer = Unwatched()
    # Nodes that accumulate gradients stay with the stream they were made on, and live as long as a loss does.
    # Those of the default stream would break the capture: InputBuffer::add in autograd/input_buffer.cpp.
    loop.let_go()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UPS):
            loop.step()
    torch.cuda.current_stream().wait_stream(side)
    loop.let_go()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=side):
            loop.step()
    except RuntimeError as error:
        raise why_not(error) from error
    return graph.replay


def why_not(error: RuntimeError) -> RuntimeError | UsageError:
    """Return what to raise where a capture ended with *error*: what broke it, which its end may hide."""
    first = error.__context__ if isinstance(error.__context__, RuntimeError) else error
    if ran_out_of_memory(first):
        return first
    line = str(first).splitlines()[0]
    return UsageError(f"--execution graph: a CUDA graph cannot hold this step: {line}")
