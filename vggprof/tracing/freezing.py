"""Parameters that are not trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

from torch import nn

from vggprof.errors import ArchError, did_you_mean
from vggprof.trace import Trace

BACKBONE = "backbone"

# How many names an error shows.
_SHOWN = 4


def parameters_to_freeze(module: nn.Module, names: Sequence[str], trace: Trace) -> tuple[str, ...]:
    """Return the parameters of *module* that *names* say: ``backbone``, or patterns (``conv1_*``).

    *trace* shows in which order the layers run. Raises ArchError for a pattern that fits nothing, and where
    nothing would be left to train.
    """
    parameters = [name for name, _ in module.named_parameters()]
    chosen: set[str] = set()
    for name in names:
        chosen |= _backbone(module, trace) if name == BACKBONE else _matching(name, parameters, trace.arch)
    if chosen and len(chosen) == len(parameters):
        raise ArchError(f"{trace.arch}: freezing {', '.join(names)} leaves nothing to train")
    return tuple(name for name in parameters if name in chosen)


def _matching(pattern: str, parameters: Sequence[str], arch: str) -> set[str]:
    found = {name for name in parameters if fnmatchcase(name, pattern)}
    if not found:
        shown = ", ".join(parameters[:_SHOWN]) + (", ..." if len(parameters) > _SHOWN else "")
        near = did_you_mean(pattern, parameters)
        raise ArchError(f"{arch}: no parameter is called {pattern!r}; there are {shown}{near}")
    return found


def _backbone(module: nn.Module, trace: Trace) -> set[str]:
    """Return all parameters but the classifier's: those of the linear layers after any other with parameters.

    Where the last layer with parameters is not linear (a convolution that gives the classes), it alone is
    the classifier.
    """
    modules = dict(module.named_modules())
    ran = list(dict.fromkeys(layer.module for layer in trace.layers if layer.module in modules))
    having = [modules[path] for path in ran if any(True for _ in modules[path].parameters(recurse=False))]
    last = next((at for at in range(len(having), 0, -1) if not isinstance(having[at - 1], nn.Linear)), 0)
    classifier = having[last:] or having[-1:]
    kept = {id(parameter) for part in classifier for parameter in part.parameters()}
    return {name for name, parameter in module.named_parameters() if id(parameter) not in kept}


@contextmanager
def frozen(module: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Let the parameters *names* of *module* want no gradients; batch norms stay in the mode they are in."""
    before = [(parameter, parameter.requires_grad) for _, parameter in module.named_parameters()]
    for name in names:
        module.get_parameter(name).requires_grad_(False)
    try:
        yield
    finally:
        for parameter, wanted in before:
            parameter.requires_grad_(wanted)
