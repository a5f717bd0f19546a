"""The head of a spec: its name, where it comes from, its input and its parameters, overridden or not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from vggprof.errors import UsageError, did_you_mean
from vggprof.spec.archspec import InputShape, ParameterValue
from vggprof.spec.expressions import WORD, ExpressionError, Names, evaluate
from vggprof.spec.kinds import MAX_CHANNELS, MAX_PIXELS
from vggprof.spec.nodes import Entries, Items, Node, Scalar
from vggprof.spec.place import Place, Problems

HEAD_KEYS = ("name", "title", "aliases", "source", "input", "parameters")
BODY_KEYS = ("defaults", "blocks", "layers")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
MAX_TEXT = 1_000
MAX_PARAMETERS = 100

Parameters = tuple[tuple[Scalar, Node], ...]

_INPUT = re.compile(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})")
_INPUT_WANTED = (
    "channels x height x width is wanted, as in 3x224x224, "
    f"with at most {MAX_CHANNELS} channels and {MAX_PIXELS} pixels a side"
)


@dataclass(frozen=True, slots=True)
class Head:
    """All that a spec says before its layers."""

    name: str
    title: str
    aliases: tuple[str, ...]
    source: str
    input: InputShape
    parameters: Mapping[str, ParameterValue]
    used: frozenset[str]  # the parameters that others are reckoned from


def read_head(root: Entries, overrides: Mapping[str, str], problems: Problems, *, stem: str) -> Head:
    """Return the head of the spec in *root* with *overrides* put in; a spec without a name is called *stem*.

    Raises UsageError for an override that cannot be; adds what is wrong with the spec to *problems*.
    """
    parameters = declared(root.find("parameters"), problems)
    given = _overridden(overrides, tuple(name.text for name, _ in parameters), stem=stem)
    names = _parameters(parameters, given, problems)
    return Head(
        name=_name(root.find("name"), problems) or stem,
        title=_text(root.find("title"), problems, "title"),
        aliases=_aliases(root.find("aliases"), problems),
        source=_text(root.find("source"), problems, "source"),
        input=_input(root, overrides.get("input"), problems),
        parameters=names.own,
        used=frozenset(names.used),
    )


def _name(node: Node | None, problems: Problems) -> str | None:
    if node is None:
        return None
    if isinstance(node, Scalar) and NAME.fullmatch(node.text):
        return node.text
    problems.add(
        node.at, "a name is letters, digits, '_', '.', '+' and '-', at most 100 of them, as in vgg16"
    )
    return None


def _text(node: Node | None, problems: Problems, key: str) -> str:
    if node is None:
        return ""
    if isinstance(node, Scalar) and len(node.text) <= MAX_TEXT:
        return " ".join(node.text.split())
    problems.add(node.at, f"{key}: a line of at most {MAX_TEXT} characters is wanted")
    return ""


def _aliases(node: Node | None, problems: Problems) -> tuple[str, ...]:
    if node is None:
        return ()
    if isinstance(node, Items):
        names = (_name(item, problems) for item in node.items)
        return tuple(name for name in names if name is not None)
    problems.add(node.at, "aliases: a list of names is wanted, as in [vgg-d]")
    return ()


def parse_input(text: str) -> InputShape | None:
    """Return (channels, height, width) of text like ``3x224x224``, or None where it is not that."""
    match = _INPUT.fullmatch(text)
    if match is None:
        return None
    channels, height, width = (int(size) for size in match.groups())
    in_bounds = 1 <= channels <= MAX_CHANNELS and 1 <= height <= MAX_PIXELS and 1 <= width <= MAX_PIXELS
    return (channels, height, width) if in_bounds else None


def _input(root: Entries, override: str | None, problems: Problems) -> InputShape:
    written = root.find("input")
    shape = parse_input(_sizes(written)) if written is not None else None
    if written is None:
        problems.add(root.at, f"input: is missing; {_INPUT_WANTED}")
    elif shape is None:
        problems.add(written.at, f"input: is {_sizes(written)!r}; {_INPUT_WANTED}")
    if override is None:
        return shape or (1, 1, 1)
    asked = parse_input(override)
    if asked is None:
        raise UsageError(f"input={override}: {_INPUT_WANTED}")
    return asked


def _sizes(node: Node) -> str:
    """Return *node* as text; a list counts as written with ``x``."""
    match node:
        case Scalar():
            return node.text[:60]
        case Items():
            return "x".join(_sizes(item) for item in node.items[:9])
        case Entries():
            return "a mapping"


def declared(node: Node | None, problems: Problems) -> Parameters:
    """Return the parameters as written, of the spec or of a block; without those that have no good name."""
    if node is None or (isinstance(node, Scalar) and node.is_empty):
        return ()
    if not isinstance(node, Entries):
        problems.add(node.at, "parameters: a mapping is wanted, as in {classes: 1000, width: 64}")
        return ()
    if len(node.entries) > MAX_PARAMETERS:
        problems.stop(node.entries[MAX_PARAMETERS][0].at, f"more than {MAX_PARAMETERS} parameters")
    return tuple(entry for entry in node.entries if _name_is_good(entry[0], problems))


def _name_is_good(name: Scalar, problems: Problems) -> bool:
    """Whether *name* can be a parameter's; adds to *problems* why not."""
    if name.text == "input":
        problems.add(name.at, "'input' is no name for a parameter: it is the input's size")
    elif not WORD.fullmatch(name.text) or len(name.text) > 60:
        problems.add(
            name.at, f"{name.text[:60]!r} is no name for a parameter; letters, digits and '_' are allowed"
        )
    else:
        return True
    return False


def _parameters(written: Parameters, given: Mapping[str, ParameterValue], problems: Problems) -> Names:
    """Return every parameter's value; each may use those before it."""
    values: dict[str, ParameterValue] = {}
    names = Names(values)
    for name, node in written:
        value = parameter_value(name.text, node, names, problems)
        values[name.text] = given.get(
            name.text, 1 if value is None else value
        )  # 1: no second problem from the first
    return names


def parameter_value(name: str, node: Node, names: Names, problems: Problems) -> ParameterValue | None:
    """Return the number at *node*, written out or as an expression; None where a problem was added."""
    value = node.plain() if isinstance(node, Scalar) else None
    if isinstance(value, str):
        try:
            return evaluate(value, names)
        except ExpressionError as error:
            problems.add(node.at, f"{name}: {error}")
            return None
    if isinstance(value, bool) or value is None or abs(value) > MAX_CHANNELS:
        problems.add(node.at, f"{name}: a number up to {MAX_CHANNELS} is wanted")
        return None
    return value


def _overridden(
    overrides: Mapping[str, str], known: tuple[str, ...], *, stem: str
) -> dict[str, ParameterValue]:
    """Return the numbers that *overrides* give to parameters."""
    for name in overrides:
        if name not in known and name != "input":
            _unknown_override(name, ("input", *known), stem=stem)
    return {name: _number(name, text) for name, text in overrides.items() if name != "input"}


def _unknown_override(name: str, known: tuple[str, ...], *, stem: str) -> NoReturn:
    raise UsageError(
        f"{stem} has no parameter {name!r}; it has {', '.join(known)}{did_you_mean(name, known)}"
    )


def _number(name: str, text: str) -> ParameterValue:
    value = Scalar(text, False, Place(1, 1)).plain()
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_CHANNELS:
        raise UsageError(f"{name}={text}: a number up to {MAX_CHANNELS} is wanted")
    return value
