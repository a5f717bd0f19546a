"""Where a result goes: standard output or a file, whole or not at all."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from vggprof.cli.filename import FileName
from vggprof.cli.run import READER_GONE
from vggprof.errors import UsageError
from vggprof.files import write_whole
from vggprof.forms import Form

Command = TypeVar("Command", bound=Callable[..., None])

_FORM_OF_SUFFIX = {
    "": Form.TABLE,
    ".txt": Form.TABLE,
    ".md": Form.MARKDOWN,
    ".csv": Form.CSV,
    ".json": Form.JSON,
}


@dataclass(frozen=True, slots=True)
class Output:
    """A form and a place; ``path`` is None for standard output."""

    form: Form
    path: Path | None

    def write(self, text: str) -> None:
        """Write *text*. Raises UsageError where the file cannot be written; it is then as it was before."""
        if self.path is None:
            _print(text)
        else:
            _write(self.path, text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, data: bytes) -> None:
        """Write *data* into the file. Raises UsageError as `write` does."""
        assert self.path is not None, "bytes go into a file"
        _write(self.path, data)


def output_options(command: Command) -> Callable[..., None]:
    """Give *command* ``--format`` and ``-o``; they come to it as one ``out``."""

    @wraps(command)
    def with_output(*, output: Path | None, **others: Any) -> None:  # noqa: ANN401 - what the command takes
        command(out=choose_output(others.pop("format"), output), **others)

    form_option = click.option(
        "--format",
        type=click.Choice([form.value for form in Form]),
        help="Form of the result.  [default: by the suffix of FILE, or table]",
    )
    path_option = click.option(
        "-o",
        "--output",
        metavar="FILE",
        type=FileName(),
        help="Write the result to FILE, all of it or nothing.",
    )
    return form_option(path_option(with_output))


def choose_output(form: str | None, path: Path | None) -> Output:
    """Return the output for what ``--format`` and ``-o`` say; ``-`` is standard output.

    Raises UsageError, before any work is done, where the form is unclear or the file has no place to be.
    """
    if path is None or str(path) == "-":
        return Output(Form(form or Form.TABLE), None)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; -o takes the name of a file")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    if form is None and path.suffix.lower() not in _FORM_OF_SUFFIX:
        suffixes = ", ".join(filter(None, _FORM_OF_SUFFIX))
        raise UsageError(f"{path} does not tell its form; end it in one of {suffixes}, or add --format")
    return Output(Form(form) if form else _FORM_OF_SUFFIX[path.suffix.lower()], path)


def as_file(path: Path | None) -> Output | None:
    """Return the place for a result beside the main one; None for None. Raises as `choose_output` does."""
    if path is None:
        return None
    if str(path) == "-":
        raise UsageError("standard output takes the result itself; name a file")
    return choose_output(Form.TABLE.value, path)


def _print(text: str) -> None:
    """Write to standard output; a character that its encoding lacks is written as an escape."""
    if sys.stdout is None:
        raise UsageError("standard output is closed; name a file with -o")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        raise click.exceptions.Exit(READER_GONE) from None
    except OSError as error:
        raise UsageError(f"standard output cannot be written: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
