"""Networks: what is shipped, what each layer costs, the trace of one, the real thing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from vggprof.analyzers import LayerTable, layer_table
from vggprof.errors import UsageError
from vggprof.spec import Summary, summaries
from vggprof.spec.arch import content_key, parse_arch
from vggprof.trace import Amp, Mode, Optimizer, Setup, Trace
from vggprof.trace.cached import cached_trace
from vggprof.trace.setup import word

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vggprof.tracing.optimizers import OptimizerChoice

Subject: TypeAlias = str | Trace


def list_specs() -> tuple[Summary, ...]:
    """Return what there is to say of each shipped spec, sorted by name."""
    return summaries()


def layers(what: Subject, setup: Setup | None = None) -> LayerTable:
    """Return what each layer costs. Raises UsageError for an ARCH that names nothing or cannot be run."""
    return layer_table(trace_of(what, setup))


def build(arch: str, device: str = "cpu") -> nn.Module:
    """Return the network of *arch* on *device*, in training mode, initialised as torch does its layers.

    Raises as `vggprof.layers` does, and ArchError for a layer that cannot be initialised.
    """
    from vggprof.network import materialize
    from vggprof.network.load import load

    return materialize(load(parse_arch(arch)).module, device)


def trace_arch(arch: str, setup: Setup | None = None) -> Trace:
    """Return the trace of *arch* under *setup* (by default batch 1, training), from disk where it is there.

    Raises ArchError for what names nothing, SpecError for a spec with problems, another UsageError for a file
    that cannot be read.
    """
    return made_trace(arch, setup or Setup())


def trace(  # noqa: PLR0913 - every part of a training can be given
    module: nn.Module,
    inputs: Tensor | tuple[Any, ...],
    *,
    targets: Tensor | tuple[Any, ...] = (),
    loss: Callable[..., Tensor] | None = None,
    step: Callable[..., object] | None = None,
    optimizer: OptimizerChoice | str = Optimizer.MOMENTUM,
    mode: Mode | str = Mode.TRAIN,
    amp: Amp | str = Amp.OFF,
    steps: int | None = None,
) -> Trace:
    """Return the trace of training *module* on *inputs*; nothing is computed, and *module* is left as it was.

    *inputs* is the module's argument, or a tuple of all of them; only shapes and dtypes matter. *loss* gets
    the module's output and *targets* and gives a scalar; without one it is cross entropy with labels that
    fit. *step* does a whole training step instead, and gets the module, the optimizer and the inputs.
    *optimizer* is a name, or a function from parameters to a torch optimizer. Raises ArchError where the
    module cannot run.
    """
    from vggprof.tracing import LiveLoop, trace_module

    how = LiveLoop(
        targets=_tuple(targets),
        loss=loss,
        step=step,
        optimizer=word(Optimizer, optimizer) if isinstance(optimizer, str) else optimizer,
        mode=word(Mode, mode),
        amp=word(Amp, amp),
    )
    return trace_module(module, _tuple(inputs), how if steps is None else replace(how, steps=steps))


def trace_of(what: Subject, setup: Setup | None, *, first: Callable[[], None] = lambda: None) -> Trace:
    """Return the trace of *what*; where one has to be made, call *first* before torch is imported.

    Raises as `trace_arch` does, and UsageError for a trace of another setup, or what is no trace at all.
    """
    if isinstance(what, str):
        return made_trace(what, setup or Setup(), first=first)
    if not isinstance(what, Trace):
        raise UsageError(
            f"a {type(what).__name__} is neither an ARCH nor a trace; vggprof.trace(module, inputs) makes one"
        )
    if setup is not None and setup != what.setup:
        raise UsageError(
            f"the trace of {what.arch} was made in another setup; make one in the setup you want"
        )
    return what


def retracing(what: Subject) -> Callable[[Setup], Trace] | None:
    """Return what traces another setup; None for a trace, of which there is only this one."""
    return partial(trace_arch, what) if isinstance(what, str) else None


def made_trace(arch: str, setup: Setup, *, first: Callable[[], None] = lambda: None) -> Trace:
    """Do as `trace_arch` does; where a trace has to be made, call *first* before torch is imported."""
    named = parse_arch(arch)

    def make() -> Trace:
        first()
        from vggprof.analyzers.stages import stage_names
        from vggprof.network.load import load
        from vggprof.tracing import trace_network

        with redirect_stdout(sys.stderr):  # what a network prints as it runs is no part of a result
            network = load(named)
            module, shape = network.module, network.input_shape
            return trace_network(module, shape, setup, arch=arch, stages=stage_names)

    return cached_trace(arch, setup, make, content_key=content_key(named))


def _tuple(value: Tensor | tuple[Any, ...]) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
