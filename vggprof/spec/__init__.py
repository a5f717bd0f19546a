"""Architecture specs: the grammar, its parser, and ARCH as it is written.

Reading a spec takes pydantic, a tenth of a second; names and summaries of the shipped specs do without.
"""

from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from vggprof.spec.archspec import ArchSpec
from vggprof.spec.ops import Layer, Op
from vggprof.spec.shipped import Summary, aliases, find_shipped, shipped_names, summaries

__all__ = [
    "ArchSpec",
    "Layer",
    "Op",
    "Summary",
    "aliases",
    "find_shipped",
    "read_spec",
    "shipped_names",
    "summaries",
]


def read_spec(file: Path | Traversable, overrides: Mapping[str, str] | None = None) -> ArchSpec:
    """Return the spec in *file* with *overrides* of its parameters and its ``input`` put in.

    Raises SpecError with every problem at ``file:line:column``, or another UsageError (`reading.read_spec`).
    """
    from vggprof.spec.reading import read_spec as read  # noqa: PLC0415 - pydantic only when a spec is read

    return read(file, overrides or {})
