"""A question as the command line that asks it."""

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields

from vggprof.target import Target
from vggprof.trace.setup import DEFAULTS, Layout, Setup


def memory_command(arch: str, setup: Setup, target: Target, *, told: Collection[str] = ()) -> str:
    """Return the `vggprof memory` that asks about *arch* under *setup* on *target*, quoted for a POSIX shell.

    ``vggprof memory vgg16 --batch 8 --accumulate 4 --gpu 'RTX 3060'``

    Fields of the setup that are *told* are spelled out where they are the default too.
    """
    options = [*_setup(setup, told), *_target(target)]
    return shlex.join(["vggprof", "memory", arch, *options])


def command_line(command: str, archs: Sequence[str], setup: Setup, target: Target, *more: str) -> str:
    """Return the command line that asks *command* about *archs*, with *more* behind it; quoted likewise."""
    return shlex.join(["vggprof", command, *archs, *_setup(setup), *_target(target), *more])


def _setup(setup: Setup, told: Collection[str] = ()) -> Iterator[str]:
    """Yield the options of what is not the default, or *told*; the batch is always told."""
    yield from ("--batch", str(setup.batch))
    if setup.layout is Layout.CHANNELS_LAST:
        yield "--channels-last"
    for name, default in DEFAULTS.items():
        if name not in ("batch", "layout") and (name in told or getattr(setup, name) != default):
            yield from _option(name, getattr(setup, name))


def _target(target: Target) -> Iterator[str]:
    if not target.tf32:
        yield "--no-tf32"
    if target.benchmark:
        yield "--cudnn-benchmark"
    for field in fields(Target):
        if field.name not in ("tf32", "benchmark") and getattr(target, field.name) != field.default:
            yield from _option(field.name, getattr(target, field.name))


def _option(name: str, value: object) -> tuple[str, ...]:
    """Return ``--name value``; ``--name`` alone for a flag."""
    option = "--" + name.replace("_", "-")
    return (option,) if value is True else (option, str(value))
