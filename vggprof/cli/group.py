"""The group of all commands, each imported when it is asked for."""

from dataclasses import dataclass
from importlib import import_module

import click

from vggprof._version import __version__
from vggprof.errors import did_you_mean

# In the order that the help shows; each is the name of a file here and of the command in it.
COMMANDS = (
    "list",
    "layers",
    "compare",
    "memory",
    "latency",
    "measure",
    "advise",
    "report",
    "check",
    "gpus",
    "calibrate",
    "cudnn",
    "doctor",
    "dense",
    "jitter",
    "fashion",
    "stack",
    "transfer",
    "replay",
    "runs",
    "diff",
)


@dataclass(slots=True)
class Session:
    """What holds for the whole run, whatever the command."""

    debug: bool = False


class LazyGroup(click.Group):
    """A group whose commands live in files of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command *cmd_name*; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"vggprof.cli.{cmd_name}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with. Raises click.UsageError with the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"no command {name!r}; there are {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}")
        return super().resolve_command(ctx, args)


EPILOG = """\b
ARCH names an architecture:
  vgg16                                 a shipped spec (see `vggprof list`)
  vgg16@classes=10,input=1x224x224      the same with other parameters
  ./my_net.yaml                         a spec file
  torchvision.models:resnet50           a factory: a function that returns a module
  ./my_net.py:build@input=3x299x299     a factory in a file; other parameters are its keywords
A spec is data and runs nothing. A factory is code that runs with your rights: name only one you trust.

\b
Any option can be set as VGGPROF_<COMMAND>_<OPTION>, for example VGGPROF_MEMORY_BATCH=32.

\b
Exit codes: 0 done (also when the answer is "out of memory"), 1 a fault of vggprof, 2 usage or a bad
spec, 3 a check failed, 4 a GPU is needed and not usable, 5 a measurement failed, 130 interrupted.
"""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def group(session: Session, *, debug: bool) -> None:
    """Say what a convolutional network costs, layer by layer, and whether its training fits the GPU."""
    session.debug = debug
