"""Gradient checkpointing by stage: what a stage makes is not kept but made again in the backward pass.

A stage is one call of torch.utils.checkpoint, as people write it: ``x = checkpoint(stage, x,
use_reentrant=False)``. In a graph of modules alone (a network from a spec) the run of nodes becomes the call.
In any other network the stage must be a chain of whole modules, each of which gets what the one before gives;
the first is then called as all of them, and the others hand on what they get.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vggprof.errors import ArchError
from vggprof.trace import Trace
from vggprof.tracing.chains import chain_of, chained, check_chain
from vggprof.tracing.cuts import NotWholeError, Run, stage_layers
from vggprof.tracing.graphs import check_run, is_module_graph, regrouped


def segments(
    module: nn.Module, wanted: Sequence[str], trace: Trace, stages: Sequence[str], inputs: tuple[Any, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return for each of the *wanted* stages the modules of *module* that are called one after the other.

    *trace* is of one plain step, *stages* names the stage of each of its layers, and *inputs* is what the
    network takes. Raises ArchError for a stage that is not there, or that cannot be cut out.
    """
    found = []
    for name, layers in stage_layers(trace, stages, wanted).items():
        try:
            found.append(_segment(module, trace, layers, inputs))
        except NotWholeError as reason:
            raise ArchError(f"{trace.arch}: {name} cannot be checkpointed: {reason}") from reason
    return tuple(found)


def _segment(module: nn.Module, trace: Trace, layers: range, inputs: tuple[Any, ...]) -> tuple[str, ...]:
    if is_module_graph(module):
        paths = tuple(trace.layers[at].module for at in layers)
        check_run(module, paths)
        return paths
    paths = chain_of(module, trace, layers)
    check_chain(module, paths, inputs)
    return paths


@contextmanager
def checkpointed(module: nn.Module, runs: Sequence[Sequence[str]]) -> Iterator[None]:
    """Let *module* checkpoint each of *runs*, found by `segments` in a module of the same structure."""
    with ExitStack() as stack:
        if runs and is_module_graph(module):
            stack.enter_context(regrouped(module, runs, _again))
        else:
            for paths in runs:
                stack.enter_context(chained(module, paths, _again))
        yield


def _again(run: Run, x: Tensor) -> Tensor:
    out: Tensor = checkpoint(run, x, use_reentrant=False)
    return out
