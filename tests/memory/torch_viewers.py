"""torch's own viewers of memory snapshots."""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def memory_viz() -> ModuleType:
    """Return torch.cuda._memory_viz, loaded from its file: it needs nothing of torch."""
    torch = importlib.util.find_spec("torch")
    assert torch is not None
    assert torch.origin is not None
    path = Path(torch.origin).parent / "cuda" / "_memory_viz.py"
    spec = importlib.util.spec_from_file_location("memory_viz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tools() -> dict[str, Callable[[Any], str]]:
    """Its tools; a flame graph's last step is a Perl script from the network, so its input is taken."""
    viz = memory_viz()
    return {
        "trace_plot": viz.trace_plot,
        "segment_plot": viz.segment_plot,
        "memory": lambda data: str(viz.memory(data, format_flamegraph=str)),
        "segments": lambda data: str(viz.segments(data, format_flamegraph=str)),
        "segsum": viz.segsum,
        "trace": viz.trace,
    }
