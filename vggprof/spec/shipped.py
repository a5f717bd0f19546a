"""The specs that come with vggprof: found by name or alias, and told apart without reading their layers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from vggprof.errors import ArchError, did_you_mean
from vggprof.spec.archspec import InputShape, ParameterValue
from vggprof.spec.head import Head, read_head
from vggprof.spec.nodes import Entries, compose
from vggprof.spec.place import Place, Problems

_PACKAGE = "vggprof.specs"
_SUFFIX = ".yaml"
_BODY = re.compile(
    r"^(defaults|blocks|layers):", re.MULTILINE
)  # shipped specs say their head first; a test holds them to it


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of specs tells of each."""

    name: str
    title: str
    source: str
    aliases: tuple[str, ...]
    input: InputShape
    parameters: tuple[tuple[str, ParameterValue], ...]


@cache
def shipped_names() -> tuple[str, ...]:
    """Return the names of all shipped specs, sorted."""
    names = (file.name for file in files(_PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


@cache
def summaries() -> tuple[Summary, ...]:
    """Return the heads of all shipped specs, in the order of `shipped_names`."""
    heads = (_head(name) for name in shipped_names())
    return tuple(
        Summary(head.name, head.title, head.source, head.aliases, head.input, tuple(head.parameters.items()))
        for head in heads
    )


@cache
def aliases() -> Mapping[str, str]:
    """Return the other names of shipped specs: ``{"vgg-d": "vgg16", ...}``."""
    return {alias: summary.name for summary in summaries() for alias in summary.aliases}


def find_shipped(name: str) -> Traversable:
    """Return the file of the shipped spec called *name*, which may be an alias.

    Raises ArchError for a name that no spec has, with the nearest one.
    """
    own = name if name in shipped_names() else aliases().get(name)
    if own is None:
        known = (*shipped_names(), *aliases())
        raise ArchError(
            f"there is no spec called {name!r}; `vggprof list` shows them{did_you_mean(name, known)}"
        )
    return files(_PACKAGE).joinpath(own + _SUFFIX)


def _head(name: str) -> Head:
    file = files(_PACKAGE).joinpath(name + _SUFFIX)
    text = file.read_text(encoding="utf-8")
    problems = Problems(str(file))
    root = compose(_BODY.split(text, maxsplit=1)[0], problems)
    head = read_head(root if isinstance(root, Entries) else Entries((), Place(1, 1)), {}, problems, stem=name)
    problems.raise_if_any()
    return head
