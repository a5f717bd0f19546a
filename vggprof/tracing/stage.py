"""Where a loop runs: recorded on meta, or for real on a device."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import nn

from vggprof.trace import Phase
from vggprof.tracing.workload import Workload


class Casting(Protocol):
    """Autocast, switched on and off where a plain script opens and closes its region."""

    def begin(self) -> None:
        """Cast from here on."""

    def end(self) -> None:
        """Cast no more."""


class Stage(Protocol):
    """What a loop asks of the place where it runs."""

    @property
    def module(self) -> nn.Module:
        """The network, on the device."""

    @property
    def autocast(self) -> Casting:
        """The casts of the forward pass."""

    @property
    def inputs(self) -> list[Any]:
        """This step's inputs, as they arrived last."""

    @property
    def targets(self) -> list[Any]:
        """This step's targets."""

    def phase(self, phase: Phase, step: int | None = None) -> AbstractContextManager[None]:
        """Run a phase; a step, and each of its micro-batches, begins with its input."""

    def arrive(self, workload: Workload) -> None:
        """Let inputs and targets arrive, each in the place of the last one."""

    def note_scaler(self, scaler: Any) -> None:
        """Say that what *scaler* keeps is optimizer state."""
