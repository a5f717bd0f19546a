"""Which measurements draw predicted times to a GPU: those of its calibration, and those that are named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vggprof.api.networks import trace_arch
from vggprof.errors import UsageError
from vggprof.memory.forecast import Card

if TYPE_CHECKING:
    from vggprof.latency.refinement import Refinement
    from vggprof.measurement import Measurement


def refined_cards(
    cards: Sequence[Card], measurements: str | Path | None
) -> tuple[dict[str, Refinement], tuple[str, ...]]:
    """Return by GPU what its calibration and *measurements* make of its times, and notes on what is not used.

    Nothing is loaded where nothing was measured. Raises as `vggprof.api.find` does, and UsageError where
    *measurements* have no time of any of *cards*.
    """
    calibrated = {card.device.name: _calibrated(card) for card in cards}
    if measurements is None and not any(calibrated.values()):
        return {}, ()
    from vggprof.api.runs import find
    from vggprof.compare.refining import measured_gpus, refining

    named = () if measurements is None else find(str(measurements))
    found: dict[str, Refinement] = {}
    notes: list[str] = []
    for card in cards:
        told = refining((*calibrated[card.device.name], *named), card.device, trace_arch)
        notes += told.notes
        if told.refinement is not None:
            found[card.device.name] = told.refinement
    if named and not found:
        reasons = "; ".join(notes) or f"it is of {measured_gpus(named)}"
        raise UsageError(f"{measurements} has no times of steps on {_names(cards)}: {reasons}")
    return found, tuple(notes)


def _calibrated(card: Card) -> tuple[Measurement, ...]:
    """Return the times that were measured with the calibration of *card*. Raises FileFormatError."""
    if card.calibration is None:
        return ()
    from vggprof.devices.calibration_files import times_file
    from vggprof.measurement import read_measurements

    path = times_file(card.calibration)
    return read_measurements(path) if path.exists() else ()


def _names(cards: Sequence[Card]) -> str:
    return " or ".join(card.device.name for card in cards)
