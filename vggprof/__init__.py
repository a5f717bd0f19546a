"""vggprof: what a convolutional network costs, and whether it fits."""

from vggprof._version import __version__

__all__ = ["__version__"]
