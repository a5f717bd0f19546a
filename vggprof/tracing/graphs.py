"""Stages of a torch.fx graph of modules alone: runs of nodes that one tensor enters and one leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

from torch import Tensor, fx

from vggprof.tracing.cuts import NotWholeError, Run


def is_module_graph(module: object) -> TypeGuard[fx.GraphModule]:
    """Whether *module* is a graph whose every node is the call of a module, each called once."""
    if not isinstance(module, fx.GraphModule):
        return False
    targets = [node.target for node in module.graph.nodes if node.op == "call_module"]
    kinds = {node.op for node in module.graph.nodes}
    return kinds <= {"placeholder", "call_module", "output"} and len(set(targets)) == len(targets)


def check_run(module: fx.GraphModule, paths: Sequence[str]) -> None:
    """Raise NotWholeError unless one tensor enters and one leaves the modules *paths* of *module*."""
    inside = _nodes(module, paths)
    taken, given = _ends(inside)
    if len(taken) != 1 or len(given) != 1:
        raise NotWholeError(f"{len(taken)} tensors go in and {len(given)} come out")


@contextmanager
def regrouped(
    module: fx.GraphModule, runs: Sequence[Sequence[str]], call: Callable[[Run, Tensor], Tensor]
) -> Iterator[None]:
    """Let *module* run each of *runs* by way of *call*; its modules stay where and what they are."""
    graph, parts = fx.Graph(), dict(module.named_modules())
    copies: dict[fx.Node, fx.Node] = {}
    groups = [_nodes(module, paths) for paths in runs]
    first = {nodes[0]: nodes for nodes in groups}
    inside = {node for nodes in groups for node in nodes}
    for node in module.graph.nodes:
        if node in first:
            (taken,), (given,) = _ends(first[node])
            name = f"run_{len(parts)}"
            parts[name] = _Called(call, _part(parts, first[node]).forward)
            copies[given] = graph.call_module(name, (copies[taken],))
        elif node not in inside:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    module.forward = fx.GraphModule(parts, graph).forward
    try:
        yield
    finally:
        del module.forward


@dataclass(frozen=True, slots=True)
class _Called:
    """A run of nodes, called by way of another function."""

    call: Callable[[Run, Tensor], Tensor]
    run: Run

    def __call__(self, x: Tensor) -> Tensor:
        return self.call(self.run, x)


def _nodes(module: fx.GraphModule, paths: Sequence[str]) -> list[fx.Node]:
    return [node for node in module.graph.nodes if node.op == "call_module" and node.target in paths]


def _ends(nodes: Sequence[fx.Node]) -> tuple[list[fx.Node], list[fx.Node]]:
    """Return the nodes that *nodes* take from outside, and those of *nodes* that are taken outside."""
    inside = set(nodes)
    taken = dict.fromkeys(source for node in nodes for source in node.all_input_nodes if source not in inside)
    given = [node for node in nodes if any(user not in inside for user in node.users)]
    return list(taken), given


def _part(parts: dict[str, Any], nodes: Sequence[fx.Node]) -> fx.GraphModule:
    """Return *nodes* as a module of their own, of the same modules."""
    (taken,), (given,) = _ends(nodes)
    graph = fx.Graph()
    copies = {taken: graph.placeholder("x")}
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[given])
    return fx.GraphModule(parts, graph)
