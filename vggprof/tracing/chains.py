"""Chains of modules in a network of any make: each takes one tensor, which the one before has given."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vggprof.trace import Trace
from vggprof.tracing.cuts import NotWholeError, Run


def chain_of(module: nn.Module, trace: Trace, layers: range) -> tuple[str, ...]:
    """Return the largest modules that together are *layers* of *trace*; functions at the ends are left out.

    Raises NotWholeError where *module* itself calls a function between them.
    """
    modules = {path: part for path, part in module.named_modules() if path}
    inside = [trace.layers[at] for at in layers]
    outside = {trace.layers[at].module for at in range(len(trace.layers)) if at not in layers}
    units = [_unit(layer.module, modules, outside) for layer in inside]
    while units and units[-1] is None:
        units.pop()
    while units and units[0] is None:
        units.pop(0)
        inside.pop(0)
    if None in units:
        raise NotWholeError(
            f"the network itself calls {inside[units.index(None)].op} between its modules; make it a module"
        )
    if not units:
        raise NotWholeError("it has no module of its own")
    return tuple(dict.fromkeys(unit for unit in units if unit is not None))


def _unit(path: str, modules: dict[str, nn.Module], outside: set[str]) -> str | None:
    """Return the outermost module around *path* that is not around *outside* as well; None for none."""
    parts = path.split(".")
    around = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next(
        (
            unit
            for unit in around
            if unit in modules and not any(other == unit or other.startswith(f"{unit}.") for other in outside)
        ),
        None,
    )


def check_chain(module: nn.Module, paths: Sequence[str], inputs: tuple[Any, ...]) -> None:
    """Run *module* forward on *inputs*, on meta, and see that *paths* are a chain, each called once.

    Raises NotWholeError where they are not, or where somebody else holds what passes between them.
    """
    watch = _Watch([module.get_submodule(path) for path in paths], paths)
    with watch.listening(), torch.no_grad():
        out = module(*inputs)
    watch.done()
    del out


class _Watch:
    """What went in and out of the modules of a chain."""

    def __init__(self, parts: Sequence[nn.Module], paths: Sequence[str]) -> None:
        self._parts = parts
        self._paths = paths
        self._given: list[weakref.ref[Tensor]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        hooks = [
            hook
            for part in self._parts
            for hook in (
                part.register_forward_pre_hook(self._taken, with_kwargs=True),
                part.register_forward_hook(self._gave),
            )
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _taken(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        at = len(self._given)
        path = self._paths[self._parts.index(part)]
        if at >= len(self._parts) or self._parts[at] is not part:
            raise NotWholeError(f"{path} is called more than once, or not in its turn")
        if kwargs or len(args) != 1 or not isinstance(args[0], Tensor):
            raise NotWholeError(f"{path} takes more than one tensor")
        if at and self._given[-1]() is not args[0]:
            raise NotWholeError(f"{path} does not take what {self._paths[at - 1]} gives")

    def _gave(self, part: nn.Module, args: tuple[Any, ...], out: object) -> None:
        if not isinstance(out, Tensor):
            raise NotWholeError(f"{self._paths[self._parts.index(part)]} gives more than one tensor")
        self._given.append(weakref.ref(out))

    def done(self) -> None:
        """Check that all ran, and that what passed between them is gone."""
        if len(self._given) < len(self._parts):
            raise NotWholeError(f"{self._paths[len(self._given)]} is not called")
        last = self._given[-1]()
        for path, given in zip(self._paths, self._given[:-1], strict=False):
            if given() is not None and given() is not last:
                raise NotWholeError(f"what {path} gives is held on to")


@contextmanager
def chained(module: nn.Module, paths: Sequence[str], call: Callable[[Run, Tensor], Tensor]) -> Iterator[None]:
    """Let the first of *paths* run them all, by way of *call*; the others then give what they get.

    Modules stay where and what they are: only their class gets another way to be called for as long.
    """
    parts = [module.get_submodule(path) for path in paths]
    kinds = [type(part) for part in parts]

    def run(x: Tensor) -> Tensor:
        for part, kind in zip(parts, kinds, strict=True):
            x = kind.__call__(part, x)
        return x

    def first(_: nn.Module, x: Tensor) -> Tensor:
        return call(run, x)

    def later(_: nn.Module, x: Tensor) -> Tensor:
        return x

    for at, (part, kind) in enumerate(zip(parts, kinds, strict=True)):
        part.__class__ = type(kind.__name__, (kind,), {"__call__": later if at else first})
    try:
        yield
    finally:
        for part, kind in zip(parts, kinds, strict=True):
            part.__class__ = kind
