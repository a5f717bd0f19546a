"""Compare: networks side by side, each against the first, and why they differ."""

from vggprof.compare.attribution import Quantity, Split
from vggprof.compare.causes import Cause
from vggprof.compare.comparison import (
    Against,
    ArchTotals,
    Comparison,
    Ratios,
    ScaleCell,
    ScaleLine,
    compare,
)
from vggprof.compare.differences import Difference
from vggprof.compare.lmdi import Part
from vggprof.compare.pair import Finding
from vggprof.compare.profile import Profile, profile, profile_on, timed
from vggprof.compare.scales import say_scale
from vggprof.compare.terms import Alignment

__all__ = [
    "Against",
    "Alignment",
    "ArchTotals",
    "Cause",
    "Comparison",
    "Difference",
    "Finding",
    "Part",
    "Profile",
    "Quantity",
    "Ratios",
    "ScaleCell",
    "ScaleLine",
    "Split",
    "compare",
    "profile",
    "profile_on",
    "say_scale",
    "timed",
]
