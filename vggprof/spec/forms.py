"""What one item of a spec is: an op with its options, a group, or the use of a block; named or not."""

from collections.abc import Iterable
from dataclasses import dataclass

from vggprof.errors import did_you_mean
from vggprof.spec.expressions import WORD, Names
from vggprof.spec.nodes import Entries, Items, Node, Scalar
from vggprof.spec.place import Place, Problems
from vggprof.spec.words import JOINS, WORDS, option_kinds

Option = tuple[Scalar, Node]

_WORDS = tuple(WORDS)
_OPTIONS = {"then", *(option for word in WORDS for option in option_kinds(word))}
_ALL_OPS = f"the ops are {', '.join(sorted(WORDS))}"


@dataclass(frozen=True, slots=True)
class Call:
    """An op: ``word``, or ``{word: argument, option: ..., then: ...}``."""

    name: Scalar | None
    word: Scalar
    argument: Node | None = None
    rest: tuple[Option, ...] = ()

    @property
    def at(self) -> Place:
        """Where the layer stands: at its name, if it has one."""
        return (self.name or self.word).at

    @property
    def who(self) -> str:
        """What problems call the layer."""
        return (self.name or self.word).text


@dataclass(frozen=True, slots=True)
class Group:
    """Layers under one name: ``name: [...]``."""

    name: Scalar
    items: Items


@dataclass(frozen=True, slots=True)
class Use:
    """The use of a block: ``{block: ..., repeat: ..., parameter: ...}``."""

    name: Scalar | None
    node: Entries


Form = Call | Group | Use


def form_of(node: Node, names: Names, problems: Problems) -> Form | None:
    """Return what an item of a list of layers is; None, with a problem added, where it is nothing."""
    match node:
        case Scalar():
            return _word(node, None, problems)
        case Items():
            problems.add(node.at, "a list among layers needs a name, as in `- stage1: [...]`")
            return None
        case Entries(entries=((name, value),)) if _gives_a_name(name, value, names):
            return named_form(name, value, problems)
        case Entries():
            return _body(node, None, problems)


def named_form(name: Scalar, value: Node, problems: Problems) -> Form | None:
    """Return what ``name: value`` is; None, with a problem added, where it is nothing."""
    match value:
        case Scalar():
            return _word(value, name, problems)
        case Items():
            return Group(name, value)
        case Entries():
            return _body(value, name, problems)


def _word(word: Scalar, name: Scalar | None, problems: Problems) -> Call | None:
    """Return an op that is a word alone."""
    if word.text in WORDS:
        return Call(name, word)
    if not word.is_empty:
        problems.add(word.at, f"unknown op {word.text[:60]!r}{_nearest_op(word.text)}")
    else:
        who = f"layer {name.text!r}" if name else "this line"
        problems.add((name or word).at, f"{who} says no op; {_ALL_OPS}")
    return None


def _body(node: Entries, name: Scalar | None, problems: Problems) -> Call | Use | None:
    """Return ``{op: argument, option: ...}`` or ``{block: ..., parameter: ...}``."""
    if node.find("block") is not None:
        return Use(name, node)
    call = split(node.entries, name)
    if call is None:
        problems.add(*_no_op(node))
    return call


def split(entries: tuple[Option, ...], name: Scalar | None) -> Call | None:
    """Return the op that *entries* name, with its argument and options; None where they name no op."""
    found = next((entry for entry in entries if entry[0].text in WORDS), None)
    if found is None:
        return None
    return Call(name, *found, rest=tuple(entry for entry in entries if entry is not found))


def arguments(call: Call, problems: Problems) -> tuple[Option, ...]:
    """Return the options of *call*, what stands right after the word among them, without ``then``."""
    return tuple(option for option in (*_argument(call, problems), *call.rest) if option[0].text != "then")


def then_of(call: Call) -> Node | None:
    """Return what *call* says to follow the layer."""
    inner = call.argument.entries if isinstance(call.argument, Entries) else ()
    return next((value for key, value in (*inner, *call.rest) if key.text == "then"), None)


def _argument(call: Call, problems: Problems) -> Iterable[Option]:
    """Return what stands right after the word as options: the main one's value, or a mapping of them."""
    argument, main = call.argument, WORDS[call.word.text].main
    if argument is None or (isinstance(argument, Scalar) and argument.is_empty):
        return ()
    if isinstance(argument, Entries):
        return argument.entries
    if main is None:
        problems.add(argument.at, f"{call.word.text} takes no argument; write `{call.word.text}` alone")
        return ()
    return ((Scalar(main, quoted=False, at=call.word.at), argument),)


def _no_op(node: Entries) -> tuple[Place, str]:
    """Return where and how *node* fails to name an op, by what was probably meant."""
    keys = [key for key, _ in node.entries]
    layer = next((key for key, value in node.entries if _has_op(value)), None)
    if layer is not None and len(keys) > 1:
        stranger = next(key for key in keys if key is not layer)
        return stranger.at, (
            f"{stranger.text!r} stands beside the layer {layer.text!r}; indent it to stand inside, "
            "or start a line of its own with `- `"
        )
    near = next((key for key in keys if key.text not in _OPTIONS and did_you_mean(key.text, _WORDS)), None)
    if near is not None:
        return near.at, f"unknown op {near.text!r}{_nearest_op(near.text)}"
    return node.at, f"no op is named here; {_ALL_OPS}"


def _has_op(value: Node) -> bool:
    return isinstance(value, Entries) and any(key.text in WORDS for key, _ in value.entries)


def _gives_a_name(name: Scalar, value: Node, names: Names) -> bool:
    """Whether ``name: value`` gives a layer a name; else *name* is the op."""
    if name.text == "block":
        return False
    if name.text not in WORDS:
        return not (isinstance(value, Scalar) and _is_an_argument(value, names))
    if isinstance(value, Scalar):  # `relu: relu`
        return value.text in WORDS and WORDS[name.text].main is None
    inner = JOINS if name.text in JOINS else ("block", *WORDS)
    return isinstance(value, Entries) and any(key.text in inner for key, _ in value.entries)


def _is_an_argument(value: Scalar, names: Names) -> bool:
    """Whether *value* is a number, an expression or a parameter, and so not the name of an op."""
    return not value.is_empty and (not WORD.fullmatch(value.text) or names.knows(value.text))


def _nearest_op(word: str) -> str:
    return did_you_mean(word, _WORDS) or f"; {_ALL_OPS}"
