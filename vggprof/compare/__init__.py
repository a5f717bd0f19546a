"""Compare: networks side by side, each against the first."""

from vggprof.compare.comparison import ArchTotals, Comparison, Ratios, ScaleCell, ScaleLine, compare

__all__ = ["ArchTotals", "Comparison", "Ratios", "ScaleCell", "ScaleLine", "compare"]
