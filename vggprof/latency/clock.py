"""The clock that a GPU holds under load, which its data sheet does not tell."""

from functools import cache
from typing import Final

from vggprof.devices import Device, devices
from vggprof.latency.coefficients import Generation

_OPEN: Final = ("desktop", "workstation")
# Power goes with frequency times voltage squared, and voltage with frequency; what does not (memory, leakage)
# makes the exponent less than 3.
_POWER_EXPONENT: Final = 2.5


def clock_hz(device: Device, generation: Generation) -> float:
    """Return the clock of *device* under load.

    Desktop cards run at what their silicon allows, which is much the same within a *generation*, whatever
    boost is printed on the box; where that is not known, at as many times their boost clock as those of
    measured generations do. Other forms hold their boost clock, unless they may take less power a lane than
    a desktop card of their capability does: then they slow down until they keep within it.
    """
    if device.form in _OPEN:
        return 1000.0 * (generation.desktop_clock_khz or device.boost_khz * generation.desktop_over_boost)
    return 1000.0 * device.boost_khz * _within_power(device)


def _within_power(device: Device) -> float:
    """Return the share of its boost clock that the power limit of *device* leaves it."""
    needed = _watts_per_lane(device.capability) or _watts_per_lane(device.architecture)
    if device.tdp_w is None or needed is None:
        return 1.0
    allowed = min(1.0, device.tdp_w / _lanes(device) / needed)
    return float(allowed ** (1 / _POWER_EXPONENT))


@cache
def _watts_per_lane(kind: tuple[int, int] | str) -> float | None:
    """Return the least that desktop cards of a capability or an architecture may take; None without one."""
    found = [
        each.tdp_w / _lanes(each)
        for each in devices()
        if each.form == "desktop" and kind in (each.capability, each.architecture) and each.tdp_w is not None
    ]
    return min(found, default=None)


def _lanes(device: Device) -> int:
    return device.sm_count * device.limits.cores_per_sm
