"""One operator from what is written of it: options over defaults over torch's own, every number resolved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vggprof.errors import did_you_mean
from vggprof.spec import ops
from vggprof.spec.expressions import Names
from vggprof.spec.forms import Option
from vggprof.spec.nodes import Entries, Node, Scalar
from vggprof.spec.options import OptionError, check
from vggprof.spec.place import Place, Problems
from vggprof.spec.rules import contradiction
from vggprof.spec.words import POOLS, WORDS, field_names, option_kinds, required_options

# Stands for a value that a problem was added for, so that no second problem follows from the first.
WRONG = object()


@dataclass(frozen=True, slots=True)
class Follow:
    """What a ``then:`` says, and the names it may use."""

    node: Node
    names: Names


@dataclass(frozen=True, slots=True)
class Default:
    """What ``defaults:`` says of one word: option values, and what follows."""

    options: Mapping[str, object] = field(default_factory=dict)
    then: Follow | None = None


def read_defaults(node: Node | None, names: Names, problems: Problems) -> dict[str, Default]:
    """Return the defaults by word; what is wrong with them is added to *problems* where it stands."""
    if node is None or (isinstance(node, Scalar) and node.is_empty):
        return {}
    if not isinstance(node, Entries):
        problems.add(node.at, "defaults: a mapping is wanted, as in {conv: {kernel: 3, padding: 1}}")
        return {}
    return {word.text: _default(word, value, names, problems) for word, value in node.entries}


def _default(word: Scalar, node: Node, names: Names, problems: Problems) -> Default:
    if word.text not in WORDS:
        problems.add(word.at, f"unknown op {word.text!r} in defaults{did_you_mean(word.text, tuple(WORDS))}")
        return Default()
    if not isinstance(node, Entries):
        problems.add(node.at, f"defaults of {word.text}: a mapping of options is wanted")
        return Default()
    then = node.find("then")
    written = tuple(entry for entry in node.entries if entry[0].text != "then")
    options = read_options(word.text, written, names, problems, who=f"defaults of {word.text}")
    return Default(options, Follow(then, names) if then is not None else None)


def read_options(
    word: str, written: Iterable[Option], names: Names, problems: Problems, *, who: str
) -> dict[str, object]:
    """Return the values of the options *written* for *word*, WRONG where one is; problems name *who*."""
    kinds = option_kinds(word)
    values: dict[str, object] = {}
    for key, node in written:
        if key.text not in kinds:
            problems.add(key.at, _lead(who, word) + _no_such_option(word, key.text, tuple(kinds)))
            values[key.text] = WRONG
            continue
        if key.text in values:
            problems.add(key.at, f"{who}: {key.text} is said twice")
        try:
            values[key.text] = check(kinds[key.text], node, names)
        except OptionError as error:
            problems.add(node.at, f"{who}: {key.text}{error}")
            values[key.text] = WRONG
    return values


def _no_such_option(word: str, option: str, known: tuple[str, ...]) -> str:
    if option in WORDS:
        return f"{word} and {option} are two ops; write `then: {option}`, or a line of its own"
    there_are = ", ".join(known) if known else "none"
    return f"{word} has no option {option!r}; it has {there_are}{did_you_mean(option, (*known, 'then'))}"


def make(
    word: str, options: Mapping[str, object], at: Place, problems: Problems, *, who: str
) -> ops.Op | None:
    """Return the operator that *word* makes of *options*; None, with a problem added, where it cannot be."""
    complete = dict(options) | dict(WORDS[word].fixed)
    if WORDS[word].op in POOLS and "kernel" in complete:
        complete.setdefault("stride", complete["kernel"])
    if not complete.keys() <= field_names(word):
        return None  # a stranger among the options may be the one that is missing
    missing = [option for option in required_options(word) if option not in complete]
    if missing:
        needs = f"{word} needs {' and '.join(missing)}; write {_example(word, missing)}"
        problems.add(at, _lead(who, word) + needs)
    if missing or WRONG in complete.values():
        return None
    op = WORDS[word].op(**complete)  # type: ignore[arg-type]  # checked, each by its kind
    wrong = contradiction(op)
    if wrong:
        problems.add(at, f"{who}: {wrong}")
    return None if wrong else op


def _lead(who: str, word: str) -> str:
    return "" if who == word else f"{who}: "


def _example(word: str, missing: Iterable[str]) -> str:
    options = "".join(f", {option}: ..." for option in missing if option != WORDS[word].main)
    return f"{{{word}: ...{options}}}"
