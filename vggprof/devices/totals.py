"""The total memory that torch sees on a card: measured where somebody measured it, by a rule elsewhere.

A card's nominal memory is never all there. The driver keeps some for page tables and its own work, newer
drivers more of it; ECC kept in GDDR memory takes one sixteenth; GDDR7 cards show about 5 MiB a GiB less in
NVML. The rule below has the form ``a + b x GiB``: a fixed part, and a part for page tables, which grow with
the memory. It was drawn around the totals in ``catalogue.json`` (1 to 180 GiB, drivers R396 to R610, Linux)
so that each lies within it, and a test holds it to that.
"""

from typing import Final

from vggprof.devices.capability import Capability
from vggprof.devices.device import MeasuredTotal
from vggprof.devices.ranges import Range
from vggprof.units import GIB, MIB

RULE_SOURCE: Final = "rule: nominal less what drivers were seen to keep on cards like it"

# (fixed MiB, MiB a GiB) that the driver keeps: least seen, likely with drivers since 2024, most seen.
_KEPT_BEFORE_VOLTA: Final = ((30, 3.4), (50, 4.0), (70, 5.0))
_KEPT_GDDR: Final = ((165, 2.8), (320, 6.5), (400, 8.0))
_KEPT_HBM: Final = ((165, 2.8), (320, 6.5), (400, 11.0))
# A module's memory is the host's too: what the system leaves differs from board to board.
_KEPT_SHARED: Final = ((0, 25.0), (0, 60.0), (0, 256.0))

_DRIVERS_KEEP_MORE_SINCE: Final = 2024  # R550: an RTX 4090 went from 24,217 to 24,081 MiB

_GDDR7_KEPT_MIB_PER_GIB: Final = 5  # 8,192 - 8,151, 16,384 - 16,303 and 32,768 - 32,607 MiB in nvidia-smi


def total_by_rule(memory_bytes: int, memory_type: str, *, capability: Capability, inline_ecc: bool) -> Range:
    """Return the total that a driver may report for a card of *memory_bytes* nominal, in bytes."""
    left = memory_bytes * 15 // 16 if inline_ecc else memory_bytes
    gib = left / GIB
    if memory_type == "GDDR7":
        left -= int(_GDDR7_KEPT_MIB_PER_GIB * gib * MIB)
    least, likely, most = (int((fixed + each * gib) * MIB) for fixed, each in _kept(memory_type, capability))
    floor = left // 2  # a card so small that the rule would take most of it: nobody measured one
    return Range(max(floor, left - most), max(floor, left - likely), max(floor, left - least))


def measured_or_rule(totals: tuple[MeasuredTotal, ...], rule: Range) -> tuple[Range, str]:
    """Return the usable total and where it comes from: a measured total wins over *rule*.

    The newest software's figure is the likely one and the range holds all that were seen. A card last
    measured before 2024 may have lost what drivers keep since, so its range reaches down to the rule's
    likely end.
    """
    if not totals:
        return rule, RULE_SOURCE
    newest = totals[-1]
    seen = [total.bytes for total in totals]
    if newest.year < _DRIVERS_KEEP_MORE_SINCE:
        seen.append(rule.likely)
    return Range.around(tuple(seen), newest.bytes), f"measured: {newest.seen_by} ({newest.source})"


def _kept(memory_type: str, capability: Capability) -> tuple[tuple[float, float], ...]:
    if memory_type.startswith("LPDDR"):
        return _KEPT_SHARED
    if capability < (7, 0):
        return _KEPT_BEFORE_VOLTA
    return _KEPT_HBM if memory_type.startswith("HBM") else _KEPT_GDDR
