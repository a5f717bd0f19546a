"""A factory ARCH to the module that the factory returns, on meta."""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import chain

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from vggprof.errors import ArchError, did_you_mean
from vggprof.network.importing import find_function, import_path, one_line_cause
from vggprof.network.on_meta import built_on_meta
from vggprof.spec.arch import FactoryArch

# More than one, or batch norm in training refuses maps of 1 x 1.
_DRY_RUN_BATCH = 2


def build_from_factory(arch: FactoryArch) -> nn.Module:
    """Return the module that *arch* makes, with every parameter and buffer on meta.

    The factory's own code runs. Its standard output goes to standard error, and its warnings, about weights
    that are never filled, nowhere. Lazy modules get their shapes from a run on meta. Raises ArchError, in one
    line, for a factory that is not there, takes other keywords, fails, or returns no module.
    """
    with _quiet(), import_path(arch), built_on_meta() as to_meta:
        module = _call(arch, find_function(arch))
        to_meta.rest_of(module)
        _materialize(arch, module)
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    with redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
        yield


def _call(arch: FactoryArch, function: object) -> nn.Module:
    name = f"{arch.place}:{arch.function}"
    if isinstance(function, nn.Module):
        return _instance(arch, function)
    if not callable(function):
        kind = type(function).__name__
        raise ArchError(
            f"{name} is of type {kind}; a function or class that makes a torch.nn.Module is needed"
        )
    _check_keywords(name, function, arch.keywords)
    with one_line_cause(arch, "it failed"):
        made = function(**arch.keywords)
    if not isinstance(made, nn.Module):
        raise ArchError(f"{name} returned a value of type {type(made).__name__}, not a torch.nn.Module")
    return made


def _instance(arch: FactoryArch, module: nn.Module) -> nn.Module:
    """Return *module*, which a file made when it was run; a module that others use too is left alone."""
    name = f"{arch.place}:{arch.function}"
    if arch.file is None:
        raise ArchError(f"{name} is a module already; from Python, vggprof.trace(module, ...) takes it")
    if arch.keywords:
        raise ArchError(
            f"{name} is a module already and takes no keywords; it was given {', '.join(arch.keywords)}"
        )
    return module


def _check_keywords(name: str, function: Callable[..., object], keywords: dict[str, object]) -> None:
    """Refuse *keywords* that *function* does not take; what it passes on it may still refuse itself."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # not every builtin says what it takes
        return
    try:
        signature.bind(**keywords)
    except TypeError as error:
        known = list(signature.parameters)
        unknown = next((keyword for keyword in keywords if keyword not in known), "")
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ArchError(f"{name}: {error}; {takes}{did_you_mean(unknown, known)}") from error


def _materialize(arch: FactoryArch, module: nn.Module) -> None:
    """Give lazy modules their shapes by a run on meta, which is how torch itself gives them theirs.

    Raises ArchError where the network does not run, or a lazy module is not part of what runs.
    """
    if not any(_lazy(module)):
        return
    shape = "x".join(map(str, arch.input_shape))
    with one_line_cause(arch, f"its lazy modules got no shapes from an input of {shape}"), torch.no_grad():
        module(torch.empty((_DRY_RUN_BATCH, *arch.input_shape), device="meta"))
    left = next(_lazy(module), None)
    if left is not None:
        raise ArchError(
            f"{arch.place}:{arch.function}: {left} has no shape, because its lazy module is not run"
        )


def _lazy(module: nn.Module) -> Iterator[str]:
    """Return the names of tensors that have no shape yet."""
    tensors = chain(module.named_parameters(), module.named_buffers())
    return (name for name, tensor in tensors if is_lazy(tensor))
