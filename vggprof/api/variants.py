"""Traces of one network in several setups, each made from the few steps that tell the rest."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING

from vggprof.spec.arch import FactoryArch, content_key, parse_arch
from vggprof.trace import Dtype, Layout, Setup, Trace
from vggprof.trace.cached import cached_trace
from vggprof.trace.repeats import NotRepeatingError, repeated

if TYPE_CHECKING:
    from vggprof.network.load import Network

# What repeats itself is seen twice: what the second step, and the second micro-batch, does goes on.
_TWICE = 2


class Variants:
    """The trace of *arch* in each setup that is asked for, of *steps* steps.

    Two steps of at most two micro-batches are traced, which is kept on disk. Where they do not show how it
    goes on, *otherwise* makes the trace.
    """

    def __init__(self, arch: str, *, steps: int, otherwise: Callable[[Setup], Trace]) -> None:
        self._arch = arch
        self._named = parse_arch(arch)
        self._steps = steps
        self._otherwise = otherwise
        self._short: dict[Setup, Trace] = {}
        self._networks: dict[tuple[Layout, Dtype], Network] = {}

    def __call__(self, setup: Setup) -> Trace:
        """Return the trace of *setup*. Raises as *otherwise* does where the network cannot be run so."""
        short = replace(setup, accumulate=min(setup.accumulate, _TWICE))
        if short not in self._short:
            self._short[short] = self._traced(short)
        try:
            return repeated(self._short[short], steps=self._steps, accumulate=setup.accumulate)
        except NotRepeatingError:
            return self._otherwise(setup)

    def _traced(self, setup: Setup) -> Trace:
        return cached_trace(
            self._arch,
            setup,
            lambda: self._made(setup),
            content_key=content_key(self._named),
            more=(f"steps={_TWICE}",),
        )

    def _made(self, setup: Setup) -> Trace:
        from vggprof.analyzers.stages import stage_names
        from vggprof.tracing import trace_network

        with redirect_stdout(sys.stderr):  # what a network prints as it runs is no part of a result
            network = self._network(setup)
            return trace_network(
                network.module, network.input_shape, setup, arch=self._arch, steps=_TWICE, stages=stage_names
            )

    def _network(self, setup: Setup) -> "Network":
        """Return the network; one from a spec keeps nothing but the layout and the type it was run in."""
        from vggprof.network.load import load

        if isinstance(self._named, FactoryArch):
            return load(self._named)
        key = setup.layout, setup.dtype
        if key not in self._networks:
            self._networks[key] = load(self._named)
        return self._networks[key]
