"""Ways to train that take less memory, as changes of a module: what to freeze, recompute and run in place.

Which modules are changed follows from one plain step of the network on meta (its *look*); what is changed is
then only names, and fits every module of that structure, on meta or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import nn

from vggprof.trace import Setup, Trace
from vggprof.tracing.checkpointing import checkpointed, segments
from vggprof.tracing.freezing import frozen, parameters_to_freeze
from vggprof.tracing.inplace import activations_in_place, in_place

# Names the stage of each layer of a trace, as the analyzers see them.
StageNames: TypeAlias = Callable[[Trace], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Changes:
    """Parameters that are not trained, runs of modules to recompute, and modules that run in place."""

    frozen: tuple[str, ...] = ()
    segments: tuple[tuple[str, ...], ...] = ()
    in_place: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """How to look at a network: run a plain step of it as it is now, on *inputs*, and name its stages."""

    trace: Callable[[], Trace]
    inputs: tuple[Any, ...]
    stages: StageNames | None


def changes_of(module: nn.Module, setup: Setup, look: Look) -> Changes:
    """Return what *setup* changes in *module*, which is as it was afterwards.

    Raises ArchError where *setup* names what is not there, or what cannot be cut out.
    """
    made = Changes()
    if setup.freeze is not None or setup.checkpoint is not None:
        made = _of_plain(module, setup, look, look.trace())
    if setup.inplace:
        with changed(module, made):
            made = replace(made, in_place=activations_in_place(module, look.trace()))
    return made


def _of_plain(module: nn.Module, setup: Setup, look: Look, trace: Trace) -> Changes:
    """Return what is frozen and recomputed, by the *trace* of a step in which nothing is."""
    runs: tuple[tuple[str, ...], ...] = ()
    if setup.checkpoint is not None:
        assert look.stages is not None, "stages come from the analyzers"
        runs = segments(module, setup.checkpointed, trace, look.stages(trace), look.inputs)
    return Changes(parameters_to_freeze(module, setup.frozen, trace), runs)


@contextmanager
def changed(module: nn.Module, changes: Changes) -> Iterator[None]:
    """Let *module* be changed; it is as it was afterwards."""
    with ExitStack() as stack:
        stack.enter_context(frozen(module, changes.frozen))
        stack.enter_context(in_place(module, changes.in_place))
        stack.enter_context(checkpointed(module, changes.segments))
        yield
