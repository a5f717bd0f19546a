"""The command line: one thin file a command."""

from vggprof.cli.run import main

__all__ = ["main"]
