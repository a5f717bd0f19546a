"""The layers of a spec, from the items it writes: groups, branches and blocks unfolded, every name and number resolved."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from vggprof.errors import did_you_mean
from vggprof.spec import ops
from vggprof.spec.blocks import Block, bind
from vggprof.spec.expressions import WORD, Names
from vggprof.spec.kinds import Whole
from vggprof.spec.making import Default, Follow, Option, make, read_options, without_then
from vggprof.spec.nodes import Entries, Items, Node, Scalar
from vggprof.spec.ops import Branch, Layer
from vggprof.spec.options import OptionError, check
from vggprof.spec.place import Place, Problems
from vggprof.spec.scope import Scope
from vggprof.spec.words import FOLLOWERS, JOINS, WORDS

MAX_LAYERS = 20_000
MAX_DEPTH = 50  # of groups, branches and blocks in one another

_WORDS = tuple(WORDS)
_ALL_OPS = f"the ops are {', '.join(sorted(WORDS))}"


@dataclass(frozen=True, slots=True)
class Here:
    """Where an item stands: the names around it, and the blocks it is part of."""

    scope: Scope
    names: Names
    depth: int = 0
    inside: tuple[str, ...] = ()

    def below(self, scope: Scope) -> "Here":
        """Return the place one level down, named by *scope*."""
        return replace(self, scope=scope, depth=self.depth + 1)


class Expander:
    """Unfolds items into layers; what is wrong is added to the problems, and reading goes on."""

    def __init__(
        self, defaults: Mapping[str, Default], blocks: Mapping[str, Block], shared: Names, problems: Problems
    ) -> None:
        self._defaults, self._blocks, self._shared, self._problems = defaults, blocks, shared, problems
        self._left = MAX_LAYERS

    def layers(self, items: Iterable[Node], here: Here) -> tuple[Layer, ...]:
        """Return the layers that *items* stand for, in order."""
        return tuple(layer for item in items for layer in self._item(item, here))

    def _spend(self, at: Place, here: Here) -> None:
        self._left -= 1
        if self._left < 0:
            self._problems.stop(at, f"more than {MAX_LAYERS} layers")
        if here.depth > MAX_DEPTH:
            self._problems.stop(at, f"groups, branches and blocks nested more than {MAX_DEPTH} deep")

    def _refuse(self, at: Place, message: str) -> tuple[Layer, ...]:
        self._problems.add(at, message)
        return ()

    # -- what an item is ------------------------------------------------------------------------------------------

    def _item(self, node: Node, here: Here) -> tuple[Layer, ...]:
        self._spend(node.at, here)
        match node:
            case Scalar():
                return self._bare(node, None, here)
            case Items():
                return self._refuse(node.at, "a list among layers needs a name, as in `- stage1: [...]`")
            case Entries() if node.find("block"):
                return self._block(node, None, here)
            case Entries(entries=((name, value),)) if _is_named(name, value, here):
                return self._named(name, value, here)
            case Entries():
                return self._body(node, None, here)

    def _named(self, name: Scalar, value: Node, here: Here) -> tuple[Layer, ...]:
        """Return the layers of ``name: value``."""
        match value:
            case Scalar():
                return self._bare(value, name, here)
            case Items():
                scope = here.scope.inner(here.scope.given(name, self._problems), numbered=True)
                if not value.items:
                    return self._refuse(
                        value.at, f"the group {name.text!r} is empty; give it a layer or remove it"
                    )
                return self.layers(value.items, here.below(scope))
            case Entries() if value.find("block"):
                return self._block(value, name, here)
            case Entries():
                return self._body(value, name, here)

    def _bare(self, word: Scalar, name: Scalar | None, here: Here) -> tuple[Layer, ...]:
        """Return the layers of an op that is a word alone."""
        if word.text in JOINS:
            return self._join(word, word, (), name, here)
        if word.text in WORDS:
            return self._leaf(word, (), name, here)
        if word.text:
            return self._refuse(word.at, f"unknown op {word.text[:60]!r}{_nearest_op(word.text)}")
        at, who = (name.at, f"layer {name.text!r}") if name else (word.at, "this line")
        return self._refuse(at, f"{who} says no op; {_ALL_OPS}")

    def _body(self, node: Entries, name: Scalar | None, here: Here) -> tuple[Layer, ...]:
        """Return the layers of ``{op: argument, option: ...}``."""
        found = next(((key, value) for key, value in node.entries if key.text in WORDS), None)
        if found is None:
            return self._no_op(node)
        word, argument = found
        rest = tuple((key, value) for key, value in node.entries if key is not word)
        if word.text in JOINS:
            return self._join(word, argument, rest, name, here)
        return self._leaf(word, (*self._argument(word, argument), *rest), name, here)

    def _no_op(self, node: Entries) -> tuple[Layer, ...]:
        """Say what was meant for an op, as far as can be seen."""
        for key, value in node.entries:
            if (
                isinstance(value, Entries)
                and len(node.entries) > 1
                and any(word in WORDS for word in value.keys())
            ):
                stranger = next(other for other in node.entries if other[0] is not key)[0]
                return self._refuse(
                    stranger.at,
                    f"{stranger.text!r} stands beside the layer {key.text!r}; put it inside, "
                    f"as in `{key.text}: {{conv: 64, {stranger.text}: ...}}`, or start a new line with `- `",
                )
        key = next((key for key, _ in node.entries if did_you_mean(key.text, _WORDS)), None)
        if key is not None:
            return self._refuse(key.at, f"unknown op {key.text!r}{_nearest_op(key.text)}")
        return self._refuse(node.at, f"no op is named here; {_ALL_OPS}")

    def _argument(self, word: Scalar, argument: Node) -> tuple[Option, ...]:
        """Return what stands right after *word* as options."""
        main = WORDS[word.text].main
        if isinstance(argument, Entries):
            return argument.entries
        if isinstance(argument, Scalar) and argument.is_empty:
            return ()
        if main is None:
            self._problems.add(argument.at, f"{word.text} takes no argument; write `{word.text}` alone")
            return ()
        return ((Scalar(main, False, word.at), argument),)

    # -- what it makes --------------------------------------------------------------------------------------------

    def _leaf(
        self, word: Scalar, written: tuple[Option, ...], name: Scalar | None, here: Here
    ) -> tuple[Layer, ...]:
        """Return one layer and those that follow it."""
        own = here.scope.given(name, self._problems) if name else here.scope.unnamed(word.text, word.at)
        at, who = (name or word).at, (name or word).text
        options = self._options(word.text, written, here.names, who)
        op = make(word.text, options, at, self._problems, who=who)
        made = (Layer(here.scope.prefix + own, op, at),) if op else ()
        return made + self._followers(self._follow(word.text, written, here.names), own, here)

    def _options(self, word: str, written: Iterable[Option], names: Names, who: str) -> dict[str, object]:
        default = self._defaults.get(word, Default())
        return {
            **default.options,
            **read_options(word, without_then(written), names, self._problems, who=who),
        }

    def _follow(self, word: str, written: Iterable[Option], names: Names) -> Follow | None:
        own = next((value for key, value in written if key.text == "then"), None)
        return Follow(own, names) if own is not None else self._defaults.get(word, Default()).then

    def _followers(self, follow: Follow | None, base: str | None, here: Here) -> tuple[Layer, ...]:
        """Return the layers that ``then:`` says, named after *base*."""
        if follow is None or (isinstance(follow.node, Scalar) and follow.node.is_empty):
            return ()
        items = follow.node.items if isinstance(follow.node, Items) else (follow.node,)
        made = (self._follower(item, follow.names, base, here) for item in items)
        return tuple(layer for layer in made if layer is not None)

    def _follower(self, node: Node, names: Names, base: str | None, here: Here) -> Layer | None:
        self._spend(node.at, here)
        word, written = self._follower_parts(node)
        if word is None or word.text not in FOLLOWERS:
            text = word.text[:60] if word else ""
            wrong = (
                f"{text!r} cannot stand after then:" if text in WORDS or not text else f"unknown op {text!r}"
            )
            self._refuse(node.at, f"{wrong}; {', '.join(FOLLOWERS)} can{did_you_mean(text, FOLLOWERS)}")
            return None
        options = self._options(word.text, written, names, word.text)
        op = make(word.text, options, word.at, self._problems, who=word.text)
        name = here.scope.follower(WORDS[word.text].short or word.text, base, word.at)
        return Layer(here.scope.prefix + name, op, word.at) if op else None

    def _follower_parts(self, node: Node) -> tuple[Scalar | None, tuple[Option, ...]]:
        if isinstance(node, Scalar):
            return node, ()
        if not isinstance(node, Entries) or not node.entries:
            return None, ()
        word, argument = next((entry for entry in node.entries if entry[0].text in WORDS), node.entries[0])
        rest = tuple(entry for entry in node.entries if entry[0] is not word)
        return word, (*self._argument(word, argument), *rest) if word.text in FOLLOWERS else ()

    # -- branches -------------------------------------------------------------------------------------------------

    def _join(
        self, word: Scalar, argument: Node, rest: tuple[Option, ...], name: Scalar | None, here: Here
    ) -> tuple[Layer, ...]:
        """Return an add, concat or multiply with its branches inside, and the layers that follow it."""
        if not isinstance(argument, Entries) or len(argument.entries) < 2:
            return self._refuse(
                argument.at, f"{word.text} wants two branches or more, as in {{main: [...], shortcut: []}}"
            )
        scope = here.scope.inner(here.scope.given(name, self._problems)) if name else here.scope
        inner = here.below(scope)
        own = (
            scope.unnamed(word.text, word.at)
            if not scope.numbered
            else scope.follower(word.text, None, word.at)
        )
        branch = self._named_branch if name else self._plain_branch
        branches = tuple(Branch(key.text, branch(key, value, inner)) for key, value in argument.entries)
        at, who = (name or word).at, (name or word).text
        options = self._options(word.text, rest, here.names, who)
        # What contradicts a branch may follow from a problem inside it, so one of them at a time.
        op = (
            None
            if self._problems
            else make(word.text, {**options, "branches": branches}, at, self._problems, who=who)
        )
        made = (Layer(scope.prefix + own, op, at),) if op else ()
        return made + self._followers(self._follow(word.text, rest, here.names), None, inner)

    def _named_branch(self, name: Scalar, value: Node, here: Here) -> tuple[Layer, ...]:
        """Return the layers of one branch of a join that has a name: they are called ``join.branch.layer``."""
        if isinstance(value, Items) and not value.items:
            return ()
        return self._branch(name, value, here, lambda: self._named(name, value, here))

    def _plain_branch(self, name: Scalar, value: Node, here: Here) -> tuple[Layer, ...]:
        """Return the layers of one branch of a join without a name: they are called as if they stood beside it."""
        if isinstance(value, Items):
            return self.layers(value.items, here)
        if isinstance(value, Entries) and value.find("block") and not value.find("repeat"):
            return self._branch(name, value, here, lambda: self._block(value, None, here, inline=True))
        return self._branch(name, value, here, lambda: self._item(value, here))

    def _branch(
        self, name: Scalar, value: Node, here: Here, read: Callable[[], tuple[Layer, ...]]
    ) -> tuple[Layer, ...]:
        self._spend(name.at, here)
        if isinstance(value, Scalar) and value.is_empty:
            return self._refuse(name.at, f"branch {name.text!r} says nothing; write [] for the identity")
        return read()

    # -- blocks ---------------------------------------------------------------------------------------------------

    def _block(
        self, node: Entries, name: Scalar | None, here: Here, *, inline: bool = False
    ) -> tuple[Layer, ...]:
        """Return the layers of ``{block: ..., repeat: ...}``; *inline* ones get no level of names of their own."""
        called = node.find("block")
        block = self._blocks.get(called.text) if isinstance(called, Scalar) else None
        if block is None:
            return self._unknown_block(called or node)
        if block.name in here.inside:
            circle = " -> ".join((*here.inside[here.inside.index(block.name) :], block.name))
            return self._refuse(node.at, f"block {block.name!r} uses itself: {circle}")
        names = bind(block, node, here.names, self._problems, shared=self._shared)
        repeat = self._repeat(node.find("repeat"), here)
        if names is None or repeat is None:
            return ()
        inside = replace(here, names=names, depth=here.depth + 1, inside=(*here.inside, block.name))
        scopes = [here.scope] if inline else self._scopes(block, node, name, here.scope, repeat)
        return tuple(
            layer for scope in scopes for layer in self._unfold(block, node, replace(inside, scope=scope))
        )

    def _unfold(self, block: Block, use: Entries, here: Here) -> tuple[Layer, ...]:
        self._spend(use.at, here)
        return self.layers(block.layers.items, here)

    def _scopes(
        self, block: Block, node: Entries, name: Scalar | None, scope: Scope, repeat: int
    ) -> list[Scope]:
        """Return a level of names for each use of *block*: ``name``, or ``name.0``, ``name.1``... where it is repeated."""
        if name is None:
            return [scope.inner(scope.unnamed(block.name, node.at)) for _ in range(repeat)]
        own = scope.given(name, self._problems)
        if node.find("repeat") is None:
            return [scope.inner(own)]
        group = scope.inner(own, numbered=True)
        return [group.inner(group.unnamed(block.name, node.at)) for _ in range(repeat)]

    def _repeat(self, node: Node | None, here: Here) -> int | None:
        if node is None:
            return 1
        try:
            repeat = check(Whole(1, MAX_LAYERS), node, here.names)
        except OptionError as error:
            self._refuse(node.at, f"repeat {error}")
            return None
        return repeat if isinstance(repeat, int) else None

    def _unknown_block(self, called: Node) -> tuple[Layer, ...]:
        text = called.text if isinstance(called, Scalar) else ""
        there_are = (
            f"the blocks are {', '.join(self._blocks)}" if self._blocks else "there are no blocks here"
        )
        return self._refuse(
            called.at, f"unknown block {text!r}; {there_are}{did_you_mean(text, tuple(self._blocks))}"
        )


def _is_named(name: Scalar, value: Node, here: Here) -> bool:
    """Whether ``name: value`` gives a layer a name; else *name* is the op."""
    if name.text not in WORDS:
        return not (isinstance(value, Scalar) and _is_an_argument(value, here.names))
    inner = JOINS if name.text in JOINS else ("block", *WORDS)
    return isinstance(value, Entries) and any(key in inner for key in value.keys())


def _is_an_argument(value: Scalar, names: Names) -> bool:
    """Whether *value* is a number, an expression or a parameter, and so not the name of an op."""
    return not value.is_empty and (not WORD.fullmatch(value.text) or names.knows(value.text))


def _nearest_op(word: str) -> str:
    return did_you_mean(word, _WORDS) or f"; {_ALL_OPS}"
