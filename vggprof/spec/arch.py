"""ARCH, as it is written wherever an architecture is named, and what decides the network behind it.

    vgg16@classes=10,input=1x224x224                     a shipped spec
    ./my_net.yaml                                        a spec file
    torchvision.models:resnet50                          a factory: a module and its function
    ./my_net.py:build@input=3x299x299,aux_logits=False   a factory: a file and its function
    vgg16@classes=10 with stage1 stride 4; no lrn        a spec, and what-if edits of it (`edits`)

A spec is data; a factory is code, which runs. Nothing here runs or imports any.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeAlias, assert_never

from vggprof.errors import ArchError, UsageError
from vggprof.spec.archspec import InputShape
from vggprof.spec.edits import Edit, parse_edits
from vggprof.spec.head import parse_input
from vggprof.spec.installed import installed_content
from vggprof.spec.kinds import MAX_CHANNELS, MAX_PIXELS
from vggprof.spec.shipped import aliases, find_shipped, shipped_names
from vggprof.spec.source import read_text

Parameters: TypeAlias = tuple[tuple[str, str], ...]

# Images of ImageNet as its networks take them, which is what most factories build for.
DEFAULT_INPUT: InputShape = (3, 224, 224)
MAX_CHARACTERS = 4096

_HOW = (
    "`vggprof list` shows the shipped ones; a spec file is named like ./net.yaml, "
    "a factory like torchvision.models:resnet50 or ./net.py:build"
)
_AT = re.compile(r"@(?=[^\W\d]\w*=)")
_COMMA = re.compile(r",(?=[^\W\d]\w*=)")
_WORDS = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FACTORY = re.compile(rf"(.+):({_WORDS})")
_MODULE = re.compile(_WORDS)
# Only behind what can name something: a folder or file may have " with " in its name.
_EDITED = re.compile(r"([\w.+-]+|.*\.ya?ml|.+:[\w.]+)((?:@\S+)?)\s+with\s+(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShippedArch:
    """A spec that comes with vggprof, by its name or an alias, and what is set differently in it."""

    name: str
    parameters: Parameters = ()
    edits: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        return _written(self.name, self.parameters, self.edits)

    @property
    def file(self) -> Traversable:
        """The spec file."""
        return find_shipped(self.name)


@dataclass(frozen=True, slots=True)
class SpecFileArch:
    """A spec file of the user's own, and what is set differently in it."""

    path: str
    parameters: Parameters = ()
    edits: tuple[Edit, ...] = ()

    def __str__(self) -> str:
        return _written(self.path, self.parameters, self.edits)

    @property
    def file(self) -> Path:
        """The spec file, which need not exist."""
        return Path(self.path)


@dataclass(frozen=True, slots=True)
class FactoryArch:
    """A function or class that makes a module; *place* is the name of a Python module or the path of a file.

    Raises ArchError for parameters that cannot be meant.
    """

    place: str
    function: str
    parameters: Parameters = ()

    def __post_init__(self) -> None:
        _ = self.input_shape, self.keywords

    def __str__(self) -> str:
        return _written(f"{self.place}:{self.function}", self.parameters)

    @property
    def file(self) -> Path | None:
        """The Python file, which need not exist; None for the name of a module."""
        return Path(self.place) if _is_python_file(self.place) else None

    @property
    def input_shape(self) -> InputShape:
        """Channels, height and width of one image: the parameter ``input``, which is not the factory's."""
        text = dict(self.parameters).get("input")
        shape = DEFAULT_INPUT if text is None else parse_input(text)
        if shape is None:
            raise ArchError(
                f"input={text:.40}: channels x height x width is wanted, as in 3x224x224, "
                f"with at most {MAX_CHANNELS} channels and {MAX_PIXELS} pixels a side"
            )
        return shape

    @property
    def keywords(self) -> dict[str, object]:
        """What the factory is called with: Python literals where they are that, else texts."""
        return {name: _literal(name, text) for name, text in self.parameters if name != "input"}


Arch: TypeAlias = ShippedArch | SpecFileArch | FactoryArch


def parse_arch(text: str) -> Arch:
    """Return what *text* names. Shipped names are looked up; files and factories need not exist yet.

    Raises ArchError, in one line, for what names nothing or has parameters that cannot be read, UsageError
    for an edit that is none.
    """
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise ArchError(f"{text!r:.40}... is no architecture; {_HOW}")
    found = _EDITED.fullmatch(text)
    return edited(_unedited(found[1] + found[2]), found[3]) if found else _unedited(text)


def edited(arch: Arch, edits: str) -> Arch:
    """Return *arch* with *edits* after those it has. Raises as `parse_arch`, and ArchError for a factory."""
    if isinstance(arch, FactoryArch):
        raise ArchError(f"{arch} is a factory, which is code; only specs can be edited")
    return replace(arch, edits=(*arch.edits, *parse_edits(edits)))


def _unedited(text: str) -> Arch:
    at = _AT.search(text)
    name = text[: at.start()] if at else text
    parameters = _parameters(name, text[at.end() :]) if at else ()
    if name.lower().endswith((".yaml", ".yml")):
        return SpecFileArch(name, parameters)
    factory = _FACTORY.fullmatch(name)
    if factory and not _is_python_file(name):
        return _factory(*factory.groups(), parameters=parameters)
    return _shipped(name, parameters)


def content_key(arch: Arch) -> str | None:
    """Return a digest of all that decides the network of *arch*; None where that cannot be known.

    A spec is decided by its text and parameters, a factory by the files that its distribution installed.
    Factories in files of their own, in editable installs, or anywhere else may change at any time: None, as
    for a factory that is given the path of a file.
    Takes a few milliseconds; neither imports nor runs the factory.
    """
    decided_by = _decided_by(arch)
    if decided_by is None:
        return None
    edits = () if isinstance(arch, FactoryArch) else (f"with {edit.text}" for edit in arch.edits)
    parts = (*decided_by, *map("=".join, sorted(arch.parameters)), *edits)
    return sha256("\0".join(parts).encode()).hexdigest()


def _decided_by(arch: Arch) -> Sequence[str] | None:
    match arch:
        case ShippedArch() | SpecFileArch():
            try:
                return "spec", read_text(arch.file)
            except UsageError:  # whoever reads the spec will say it
                return None
        case FactoryArch():
            if arch.file or any(_is_path(value) for value in arch.keywords.values()):
                return None
            content = installed_content(arch.place)
            return None if content is None else ("factory", arch.place, arch.function, content)
        case _:
            assert_never(arch)


def _factory(place: str, function: str, *, parameters: Parameters) -> FactoryArch:
    if not _is_python_file(place) and not _MODULE.fullmatch(place):
        raise ArchError(f"{place!r:.200} is neither a Python module nor a .py file; {_HOW}")
    return FactoryArch(place, function, parameters)


def _shipped(name: str, parameters: Parameters) -> ShippedArch:
    if name not in shipped_names() and name not in aliases():
        raise ArchError(_unknown(name))
    return ShippedArch(name, parameters)


def _unknown(name: str) -> str:
    """Return why *name* names nothing, and what may have been meant."""
    if not name:
        return f"no architecture is named; {_HOW}"
    if "@" in name:
        return f"{name!r:.200}: parameters are written name=value after the @, as in vgg16@classes=10"
    if _is_python_file(name):
        return f"{name!r:.200} is a Python file; name the function that builds the network: {name}:build"
    if "/" in name or "\\" in name:
        return f"{name!r:.200} is no spec file, which ends in .yaml; {_HOW}"
    if _MODULE.fullmatch(name) and "." in name:
        return f"{name!r:.200}: write {':'.join(name.rsplit('.', 1))} to name a factory; {_HOW}"
    near = get_close_matches(name.lower(), (*shipped_names(), *aliases()), n=3)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"unknown architecture {name!r:.200}; {meant}{_HOW}"


def _parameters(name: str, text: str) -> Parameters:
    """Return the names and values of ``a=1,b=2``."""
    pairs = tuple((key, value) for key, _, value in (part.partition("=") for part in _COMMA.split(text)))
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ArchError(f"{name:.200}: {twice!r} is set twice")
    return pairs


def _literal(name: str, text: str) -> object:
    """Return the Python literal that *text* is, or *text* itself."""
    if "," in text and text[0] not in "([{'\"":
        raise ArchError(f"{name}={text:.200}: a comma separates parameters; several values are written (1,2)")
    if text in _NOT_PYTHON:
        raise ArchError(f"{name}={text}: Python writes {_NOT_PYTHON[text]}; write '{text}' for the text")
    try:
        with warnings.catch_warnings(action="ignore"):  # about texts that only look like numbers
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _is_path(value: object) -> bool:
    """Whether *value* names a file or folder that is there."""
    try:
        return isinstance(value, str) and Path(value).exists()
    except (OSError, ValueError):  # too long for a path, or holds a NUL
        return False


def _is_python_file(text: str) -> bool:
    return text.lower().endswith(".py")


def _written(name: str, parameters: Parameters, edits: tuple[Edit, ...] = ()) -> str:
    """Return ARCH as `parse_arch` reads it."""
    said = f"{name}@{','.join(map('='.join, parameters))}" if parameters else name
    return f"{said} with {'; '.join(edit.text for edit in edits)}" if edits else said


# A text is true to Python, even "false": what other languages write is more likely meant as they mean it.
_NOT_PYTHON: Mapping[str, str] = {"true": "True", "false": "False", "none": "None", "null": "None"}
