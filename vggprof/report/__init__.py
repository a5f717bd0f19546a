"""One report: networks in one setup, whether they fit, why they differ, and a grid of other settings."""

from vggprof.report.grid import Point, Slice
from vggprof.report.holders import Filled, who_filled
from vggprof.report.making import Asked, made
from vggprof.report.published import Published
from vggprof.report.values import Report, Study

__all__ = ["Asked", "Filled", "Point", "Published", "Report", "Slice", "Study", "made", "who_filled"]
