"""What is being done, on standard error: one line that changes on a terminal, else a line each."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Return what says what is being done; the terminal's line is gone afterwards."""
    changes = sys.stderr is not None and sys.stderr.isatty()
    width = 0

    def say(text: str) -> None:
        nonlocal width
        if changes:
            click.echo("\r" + text.ljust(width), err=True, nl=False)
            width = len(text)
        else:
            click.echo(text, err=True)

    try:
        yield say
    finally:
        if width:
            click.echo("\r" + " " * width + "\r", err=True, nl=False)
