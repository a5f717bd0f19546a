"""One run of the command line: what goes wrong becomes one line and an exit code."""

import atexit
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from vggprof.cli.group import Session, group
from vggprof.errors import SpecError, VggprofError

# 128 + SIGINT, as a shell reports a program that was interrupted.
INTERRUPTED = 130
# 128 + SIGPIPE, as a shell reports a program whose reader has gone.
READER_GONE = 141

# New objects after which Python looks for cycles that nobody holds. Importing torch makes a million objects
# that all stay: looking every 700 of them, as Python does by default, takes a sixth of the import's time.
_COLLECT_AFTER = 50_000


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line *args* (by default the process's own) and leave the process with its exit code."""
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    _leave(run(args))


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line *args* and return its exit code; nothing is raised but SystemExit."""
    session = Session()
    try:
        code = group.main(
            None if args is None else list(args),
            prog_name="vggprof",
            standalone_mode=False,
            auto_envvar_prefix="VGGPROF",
            obj=session,
        )
    except (KeyboardInterrupt, click.Abort):
        return _say("Interrupted", INTERRUPTED, debug=session.debug)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except VggprofError as error:
        return _say(_line(error), error.exit_code, debug=session.debug)
    except Exception as error:
        return _say(_fault(error), VggprofError.exit_code, debug=session.debug)
    return code if isinstance(code, int) else 0


def _line(error: VggprofError) -> str:
    """Return what a person reads; a spec's problems stay as they are, an editor finds their places."""
    return str(error) if isinstance(error, SpecError) else f"Error: {error}"


def _fault(error: Exception) -> str:
    """Return one line for what no rule of ours foresaw."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"Error: this is a fault of vggprof: {what} (for the traceback run `vggprof --debug ...`)"


def _say(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(message, err=True)
    return code


def _flush_or_forget() -> None:
    """Write out what standard output still holds; where its reader has gone, drop it without a word."""
    if sys.stdout is None:  # started with it closed
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(code: int) -> NoReturn:
    """End the process: who asked to be told at exit is told, but torch's million objects are not taken apart.

    That takes Python a second, in which the answer is there and the prompt is not.
    """
    atexit._run_exitfuncs()
    _flush_or_forget()
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.flush()
    os._exit(code)
