"""The version of vggprof, in the one place that the package and its metadata read."""

__version__ = "0.1.0"
