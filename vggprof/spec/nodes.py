"""YAML as located nodes: what is written and where, with nothing that could blow up.

Read from parser events, not through a YAML constructor: no anchor is followed, no tag is obeyed, and depth
and size are bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import yaml

from vggprof.spec.place import Place, Problems

MAX_DEPTH = 64
MAX_NODES = 200_000

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(
    r"[-+]?([0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18}|[0-9]{1,18}(?=[eE]))([eE][-+]?[0-9]{1,3})?"
)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}

Plain = int | float | bool | str | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """One word, number or text as written."""

    text: str
    quoted: bool
    at: Place

    def plain(self) -> Plain:
        """Return what it stands for by the rules of YAML 1.2: ``no`` is a word, ``010`` is ten."""
        if self.quoted:
            return self.text
        if self.text in _WORDS:
            return _WORDS[self.text]
        if _INT.fullmatch(self.text):
            return int(self.text)
        return float(self.text) if _FLOAT.fullmatch(self.text) else self.text

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands there."""
        return self.plain() is None


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    at: Place


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping; keys are unique."""

    entries: tuple[tuple[Scalar, "Node"], ...]
    at: Place

    def keys(self) -> tuple[str, ...]:
        """Return the keys as written."""
        return tuple(key.text for key, _ in self.entries)

    def find(self, key: str) -> "Node | None":
        """Return the value at *key*, if there is one."""
        return next((value for name, value in self.entries if name.text == key), None)


Node = Scalar | Items | Entries


class _Mark(Protocol):
    """What marks of PyYAML and of libyaml have in common."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


# libyaml reads ten times as fast where PyYAML was built with it; both make the same events.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(text: str, problems: Problems) -> Node | None:
    """Return the document in *text*, or None where it holds nothing.

    Adds to *problems* what YAML allows and a spec does not; raises SpecError where reading on makes no sense.
    """
    try:
        return _Composer(yaml.parse(text, Loader=_LOADER), problems).document()
    except yaml.MarkedYAMLError as error:
        problems.stop(_place(error.problem_mark or error.context_mark), _yaml_message(error))
    except yaml.YAMLError as error:
        problems.stop(Place(1, 1), f"this is not YAML: {str(error).splitlines()[0]}")


def _yaml_message(error: yaml.MarkedYAMLError) -> str:
    what = ", ".join(part for part in (error.context, error.problem) if part)
    begun = f" (begun in line {error.context_mark.line + 1})" if error.context_mark else ""
    return f"this is not YAML: {what}{begun}; are the brackets closed and the lines indented alike?"


def _place(mark: _Mark | None) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


class _Composer:
    """Turns events into nodes."""

    def __init__(self, events: Iterator[yaml.Event], problems: Problems) -> None:
        self._events, self._problems = events, problems
        self._nodes = 0
        self._forbidden = False

    def document(self) -> Node | None:
        """Return the only document."""
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.NodeEvent) and root is None:
                root = self._node(event, depth=0)
            elif isinstance(event, yaml.NodeEvent):
                self._problems.stop(_place(event.start_mark), "a second document; a spec is one")
        if self._forbidden:  # what it was meant to bring is not there, and would be missed
            raise self._problems.error()
        return None if isinstance(root, Scalar) and root.is_empty else root

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        at = _place(event.start_mark)
        self._check(event, at, depth=depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._sequence(depth)), at)
        if isinstance(event, yaml.MappingStartEvent):
            return Entries(tuple(self._mapping(depth)), at)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, bool(event.style), at)
        return Scalar("", False, at)  # an alias, already refused

    def _check(self, event: yaml.Event, at: Place, *, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            self._problems.stop(at, f"nested more than {MAX_DEPTH} deep")
        if self._nodes > MAX_NODES:
            self._problems.stop(at, f"more than {MAX_NODES} values; a spec is smaller")
        if getattr(event, "anchor", None):
            self._forbid(
                at, "anchors (&) and aliases (*) are not used in specs; write a block and use it by name"
            )
        tag = getattr(event, "tag", None)
        if tag:
            self._forbid(at, f"tags are not used in specs; remove {tag}")

    def _forbid(self, at: Place, message: str) -> None:
        self._forbidden = True
        self._problems.add(at, message)

    def _sequence(self, depth: int) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event, depth=depth + 1)

    def _mapping(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Place] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return
            key = self._node(event, depth=depth + 1)
            value = self._node(next(self._events), depth=depth + 1)
            if self._key_is_good(key, seen) and isinstance(key, Scalar):
                seen[key.text] = key.at
                yield key, value

    def _key_is_good(self, key: Node, seen: dict[str, Place]) -> bool:
        if not isinstance(key, Scalar):
            self._problems.add(key.at, "a key must be a word")
        elif key.text == "<<":
            self._forbid(key.at, "merge keys (<<) are not used in specs; use defaults: or a block")
        elif key.text in seen:
            self._problems.add(key.at, f"{key.text!r} stands here twice; first in line {seen[key.text].line}")
        else:
            return True
        return False
