"""Names of files that a command writes beside its result."""

import os
from pathlib import Path
from typing import Any

import click

from vggprof.errors import UsageError


class FileName(click.Path):
    """A path that cannot mean a folder: one that ends in a slash does, and `Path` would forget that."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401 - as in click
        """Return the path. Raises UsageError for the name of a folder."""
        if os.fspath(value).endswith(tuple(filter(None, (os.sep, os.altsep)))):
            raise UsageError(f"{value} names a folder; name a file")
        return super().convert(value, param, ctx)
