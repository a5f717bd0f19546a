"""The reference loop run for real on the CPU, and what torch's profiler counts as live in it."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from vggprof.trace import Born, Freed, Mark, Trace

Marks = list[tuple[int | None, str, int]]  # step, name and live bytes of every mark, in order


@dataclass
class Loop:
    """A plain script's training with momentum on 4 samples of 3x8x8, or *shape*."""

    module: nn.Module
    steps: int = 2
    accumulate: int = 1
    set_to_none: bool = True
    shape: tuple[int, ...] = (3, 8, 8)

    def run(self, mark: Callable[[int, str], None] = lambda step, name: None) -> list[float]:
        """Train, calling *mark* at the end of each phase; return the losses."""
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9, foreach=True)
        losses = []
        for step in range(self.steps):
            for part in range(self.accumulate):
                x = torch.randn(4, *self.shape)
                y = torch.zeros(4, dtype=torch.int64)
                mark(step, "input")
                if part == 0:
                    optimizer.zero_grad(set_to_none=self.set_to_none)
                out = self.module(x)
                mark(step, "output")
                loss = nn.functional.cross_entropy(out, y)
                if self.accumulate > 1:
                    loss = loss / self.accumulate
                mark(step, "loss")
                loss.backward()  # type: ignore[no-untyped-call]
                mark(step, "backward")
                losses.append(loss.item())
            optimizer.step()
            mark(step, "optimizer")
        return losses


def real_marks(loop: Loop) -> Marks:
    """Live bytes at every mark of *loop*, as torch's profiler counts the CPU's allocations."""
    profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True)
    with _no_garbage(), profiler as run:
        loop.run(lambda step, name: _say(f"mark {step} {name}"))
    live = 0
    marks: Marks = []
    for event in sorted(_events(run), key=lambda event: event.start_time_ns):
        kind, fields = event.typed
        if kind == torch._C._profiler._EventType.Allocation:
            live += fields.alloc_size
        elif event.name.startswith("mark "):
            _, number, name = event.name.split()
            marks.append((int(number), name, live))
    return marks


def traced_marks(trace: Trace, unit: int = 1) -> Marks:
    """Live bytes at every mark of *trace*, each storage rounded up to *unit*."""
    live = 0
    marks: Marks = []
    for event in trace.events:
        match event:
            case Born(storage):
                live += -(-trace.storages[storage].nbytes // unit) * unit
            case Freed(storage):
                live -= -(-trace.storages[storage].nbytes // unit) * unit
            case Mark(step, phase):
                marks.append((step, phase.mark, live))
            case _:
                pass
    return marks


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Collect garbage now and not meanwhile: tensors that earlier tests left behind would count as freed."""
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _say(text: str) -> None:
    with torch.profiler.record_function(text):
        pass


def _events(run: torch.profiler.profile) -> list:  # type: ignore[type-arg]
    queue, found = list(run.profiler.kineto_results.experimental_event_tree()), []  # type: ignore[union-attr]
    while queue:
        event = queue.pop()
        found.append(event)
        queue.extend(event.children)
    return found
