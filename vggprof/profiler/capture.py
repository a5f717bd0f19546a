"""A few steps under torch.profiler, with a span of ours around every step, phase and call of a module."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from vggprof.profiler.spans import OURS, Call, Capture, HostSpan, KernelSpan, Ours
from vggprof.trace import Phase
from vggprof.tracing.autocast import Autocast
from vggprof.tracing.cuda_way import CudaWay
from vggprof.tracing.layers import LayerLog

# Calls of CUDA's runtime and driver, which number themselves and so may have the number of an operator.
_RUNTIME = re.compile(r"cu(da)?[A-Z]")


class Watch:
    """Opens a span for whatever the loop comes to; the observer of a stage that is profiled."""

    def __init__(self, network: nn.Module) -> None:
        self._log = _CallLog(network)
        self._functions = _Functions(self._log, Autocast(None))
        self.silent = False  # whether phases are not marked, so that what runs in them is not counted

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that there were; those of containers' functions in the forward pass only."""
        return tuple(self._log.made)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow the calls of the network's modules."""
        with self._log.listening():
            yield

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Run a phase."""
        inside = self._functions if phase is Phase.FORWARD else nullcontext()
        marked = nullcontext() if self.silent else record_function(Ours.PHASE.name_of(phase.value))
        with marked, inside:
            yield


class _Functions(CudaWay):
    """Tells the log of functions that containers call; they run as they are."""

    def _lowered(self, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - as in CudaWay
        return func(*args, **kwargs)


class _CallLog(LayerLog):
    """Opens a span for each call, and knows which autograd nodes were made in it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.made: list[Call] = []
        self._open: list[tuple[int, record_function]] = []

    def _enter(self, call: Any) -> None:  # noqa: ANN401 - LayerLog's own
        super()._enter(call)
        number = len(self.made)
        again = torch._C._current_autograd_node() is not None
        self.made.append(Call(call.path, not call.container, again, call.first_node, call.first_node))
        span = record_function(Ours.CALL.name_of(number))
        self._open.append((number, span))
        span.__enter__()  # type: ignore[no-untyped-call]

    def _leave(self, result: object) -> None:
        number, span = self._open.pop()
        span.__exit__(None, None, None)
        self.made[number] = replace(self.made[number], end_node=torch._C._autograd._get_sequence_nr())
        super()._leave(result)


def capture(
    step: Callable[[], None], count: int, watch: Watch, *, cuda: bool, trace_file: str | None
) -> Capture:
    """Run *step* *count* times under the profiler and return what it saw; *trace_file* gets a Chrome trace.

    Of several steps the first is left out: the profiler itself warms up in it.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with watch.listening(), profile(activities=activities, acc_events=True) as seen:
        for number in range(count):
            watch.silent = number == 0 and count > 1
            with record_function(Ours.STEP.name_of(number)):
                step()
            if cuda:
                torch.cuda.synchronize()
    if trace_file is not None:
        seen.export_chrome_trace(trace_file)
    return as_values(seen.profiler.kineto_results.events(), watch.calls)


def as_values(events: list[Any], calls: tuple[Call, ...]) -> Capture:
    """Return what the profiler saw, but for the CUDA runtime's calls, and annotations of others."""
    host: list[HostSpan] = []
    kernels: list[KernelSpan] = []
    for event in events:
        begin, end, linked = event.start_ns(), event.end_ns(), event.linked_correlation_id()
        if event.device_type() == DeviceType.CUDA:
            if not event.is_user_annotation():
                kernels.append(KernelSpan(event.name(), begin, end, linked))
        elif linked == 0 and _is_ours_or_torchs(event):
            node = event.sequence_nr(), event.fwd_thread_id()
            host.append(
                HostSpan(event.name(), begin, end, event.start_thread_id(), event.correlation_id(), *node)
            )
    return Capture(tuple(host), tuple(kernels), calls)


def _is_ours_or_torchs(event: Any) -> bool:  # noqa: ANN401 - torch gives its type no name
    name: str = event.name()
    return name.startswith(OURS) or not (event.is_user_annotation() or _RUNTIME.match(name))
