"""The layers of a spec: groups, branches and blocks unfolded, every name and number resolved."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from vggprof.errors import did_you_mean
from vggprof.spec.blocks import Block, bind
from vggprof.spec.expressions import Names
from vggprof.spec.forms import Call, Form, Group, Use, arguments, form_of, named_form, split, then_of
from vggprof.spec.kinds import Whole
from vggprof.spec.making import Default, Follow, make, read_options
from vggprof.spec.nodes import Entries, Items, Node, Scalar
from vggprof.spec.ops import Branch, Layer
from vggprof.spec.options import OptionError, check
from vggprof.spec.place import Place, Problems
from vggprof.spec.scope import Scope
from vggprof.spec.words import FOLLOWERS, JOINS, WORDS

MAX_LAYERS = 20_000
MAX_DEPTH = 50  # of groups, branches and blocks in one another
REPEAT = Whole(1, MAX_LAYERS)

Layers = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Here:
    """Where an item stands: the names around it, and the blocks it is part of."""

    scope: Scope
    names: Names
    depth: int = 0
    inside: tuple[str, ...] = ()

    def below(self, scope: Scope) -> "Here":
        """Return the place one level down, where layers are named by *scope*."""
        return replace(self, scope=scope, depth=self.depth + 1)


class Expander:
    """Unfolds items into layers; what is wrong is added to *problems*, and reading goes on."""

    def __init__(
        self, defaults: Mapping[str, Default], blocks: Mapping[str, Block], shared: Names, problems: Problems
    ) -> None:
        self._defaults, self._blocks = defaults, blocks
        self._shared, self._problems = shared, problems
        self._left = MAX_LAYERS

    def layers(self, items: Iterable[Node], here: Here) -> Layers:
        """Return the layers that *items* stand for, in order."""
        return tuple(layer for item in items for layer in self._item(item, here))

    def _item(self, node: Node, here: Here) -> Layers:
        self._spend(node.at, here)
        return self._form(form_of(node, here.names, self._problems), here)

    def _form(self, form: Form | None, here: Here) -> Layers:
        match form:
            case Call(word=word) if word.text in JOINS:
                return self._join(form, here)
            case Call():
                return self._leaf(form, here)
            case Group():
                return self._group(form, here)
            case Use():
                return self._block(form, here)
            case None:
                return ()

    def _spend(self, at: Place, here: Here) -> None:
        """Count one more item, so that blocks in blocks end, and within reach of memory."""
        self._left -= 1
        if self._left < 0:
            self._problems.stop(at, f"more than {MAX_LAYERS} layers")
        if here.depth > MAX_DEPTH:
            self._problems.stop(at, f"groups, branches and blocks more than {MAX_DEPTH} deep in one another")

    def _refuse(self, at: Place, message: str) -> Layers:
        self._problems.add(at, message)
        return ()

    def _group(self, group: Group, here: Here) -> Layers:
        scope = here.scope.inner(here.scope.given(group.name, self._problems), numbered=True)
        if not group.items.items:
            return self._refuse(
                group.name.at, f"group {group.name.text!r} is empty; give it a layer or remove it"
            )
        return self.layers(group.items.items, here.below(scope))

    # Ops, and what follows them

    def _leaf(self, call: Call, here: Here) -> Layers:
        """Return one layer and those that follow it."""
        scope, word = here.scope, call.word.text
        own = scope.given(call.name, self._problems) if call.name else scope.unnamed(word, call.word.at)
        op = make(word, self._options(call, here.names), call.at, self._problems, who=call.who)
        made = (Layer(scope.prefix + own, op, call.at),) if op else ()
        return made + self._followers(call, own, here)

    def _options(self, call: Call, names: Names) -> dict[str, object]:
        """Return the options of *call*, over the defaults of its op."""
        written = arguments(call, self._problems)
        own = read_options(call.word.text, written, names, self._problems, who=call.who)
        return {**self._default(call).options, **own}

    def _default(self, call: Call) -> Default:
        return self._defaults.get(call.word.text, Default())

    def _followers(self, call: Call, base: str | None, here: Here) -> Layers:
        """Return the layers that ``then:`` says, of *call* or else of its defaults, named after *base*."""
        own = then_of(call)
        follow = Follow(own, here.names) if own is not None else self._default(call).then
        if follow is None or (isinstance(follow.node, Scalar) and follow.node.is_empty):
            return ()
        items = follow.node.items if isinstance(follow.node, Items) else (follow.node,)
        made = (self._follower(item, follow.names, base, here) for item in items)
        return tuple(layer for layer in made if layer is not None)

    def _follower(self, node: Node, names: Names, base: str | None, here: Here) -> Layer | None:
        """Return one layer that ``then:`` says; what its defaults say to follow it does not follow here."""
        self._spend(node.at, here)
        call = Call(None, node) if isinstance(node, Scalar) else None
        if isinstance(node, Entries):
            call = split(node.entries, None)
        if call is None or call.word.text not in FOLLOWERS:
            self._refuse(node.at, _cannot_follow(node))
            return None
        if then_of(call) is not None:
            self._problems.add(
                node.at, "`then:` cannot stand within `then:`; list all that follows: [relu, dropout]"
            )
        word = call.word
        op = make(word.text, self._options(call, names), word.at, self._problems, who=word.text)
        name = here.scope.follower(WORDS[word.text].short or word.text, base, word.at)
        return Layer(here.scope.prefix + name, op, word.at) if op else None

    # Branches

    def _join(self, call: Call, here: Here) -> Layers:
        """Return an add, concat or multiply with its branches inside, and the layers that follow it."""
        word, argument = call.word, call.argument
        if not isinstance(argument, Entries) or len(argument.entries) < 2:
            example = f"{{{word.text}: {{main: [...], shortcut: []}}}}"
            return self._refuse(
                (argument or word).at, f"{word.text} wants two branches or more, as in {example}"
            )
        scope = here.scope.inner(here.scope.given(call.name, self._problems)) if call.name else here.scope
        below = here.below(scope)
        own = scope.follower(word.text, None, word.at)
        read = self._named_branch if call.name else self._plain_branch
        branches = tuple(self._branch(key, value, below, read) for key, value in argument.entries)
        options = self._options(replace(call, argument=None), here.names) | {"branches": branches}
        # What contradicts a branch may follow from a problem inside it, so one of them at a time.
        op = None if self._problems else make(word.text, options, call.at, self._problems, who=call.who)
        made = (Layer(scope.prefix + own, op, call.at),) if op else ()
        return made + self._followers(replace(call, argument=None), None, below)

    def _branch(
        self, name: Scalar, value: Node, here: Here, read: Callable[[Scalar, Node, Here], Layers]
    ) -> Branch:
        self._spend(name.at, here)
        if isinstance(value, Items) and not value.items:
            return Branch(name.text, ())
        if isinstance(value, Scalar) and value.is_empty:
            self._problems.add(name.at, f"branch {name.text!r} says nothing; write [] for the identity")
            return Branch(name.text, ())
        return Branch(name.text, read(name, value, here))

    def _named_branch(self, name: Scalar, value: Node, here: Here) -> Layers:
        """Return the layers of a branch of a join with a name: they are called ``join.branch.layer``."""
        return self._form(named_form(name, value, self._problems), here)

    def _plain_branch(self, _: Scalar, value: Node, here: Here) -> Layers:
        """Return the layers of a branch of a join without a name: they are called as if beside the join."""
        if isinstance(value, Items):
            return self.layers(value.items, here)
        form = form_of(value, here.names, self._problems)
        if isinstance(form, Use) and form.node.find("repeat") is None:
            return self._block(form, here, inline=True)
        return self._form(form, here)

    # Blocks

    def _block(self, use: Use, here: Here, *, inline: bool = False) -> Layers:
        """Return the layers of a block; *inline* ones get no level of names of their own."""
        called = use.node.find("block")
        block = self._blocks.get(called.text) if isinstance(called, Scalar) else None
        if block is None:
            return self._unknown_block(called or use.node)
        if block.name in here.inside:
            circle = " -> ".join((*here.inside[here.inside.index(block.name) :], block.name))
            return self._refuse(use.node.at, f"block {block.name!r} uses itself: {circle}")
        names = bind(block, use.node, here.names, self._problems, shared=self._shared)
        repeat = self._repeat(use.node.find("repeat"), here)
        if names is None or repeat is None:
            return ()
        inside = replace(here, names=names, depth=here.depth + 1, inside=(*here.inside, block.name))
        scopes = (here.scope,) if inline else self._scopes(block, use, here.scope, repeat)
        return tuple(layer for scope in scopes for layer in self._unfold(block, replace(inside, scope=scope)))

    def _unfold(self, block: Block, here: Here) -> Layers:
        self._spend(block.at, here)
        return self.layers(block.layers.items, here)

    def _scopes(self, block: Block, use: Use, scope: Scope, repeat: int) -> Iterator[Scope]:
        """Yield a level of names for each time: ``name``, or ``name.0``, ``name.1``... if repeated.

        Ends early where there are problems: once more would bring no others.
        """
        if use.name is not None:
            scope = scope.inner(scope.given(use.name, self._problems), numbered=True)
        if use.name is not None and use.node.find("repeat") is None:
            yield replace(scope, numbered=False)
            return
        for time in range(repeat):
            if time == 0 or not self._problems:
                yield scope.inner(scope.unnamed(block.name, use.node.at))

    def _repeat(self, node: Node | None, here: Here) -> int | None:
        if node is None:
            return 1
        try:
            repeat = check(REPEAT, node, here.names)
        except OptionError as error:
            self._problems.add(node.at, f"repeat{error}")
            return None
        return repeat if isinstance(repeat, int) else None

    def _unknown_block(self, called: Node) -> Layers:
        text = called.text[:60] if isinstance(called, Scalar) else ""
        there_are = (
            f"the blocks are {', '.join(self._blocks)}" if self._blocks else "there are no blocks here"
        )
        nearest = did_you_mean(text, tuple(self._blocks))
        return self._refuse(called.at, f"unknown block {text!r}; {there_are}{nearest}")


def _cannot_follow(node: Node) -> str:
    """Return why *node* is no layer that ``then:`` can say."""
    first = node.entries[0][0] if isinstance(node, Entries) and node.entries else node
    text = first.text[:60] if isinstance(first, Scalar) else ""
    wrong = (
        f"unknown op {text!r}"
        if text and text not in WORDS
        else f"{text or 'this'} cannot stand after `then:`"
    )
    return f"{wrong}; {', '.join(FOLLOWERS)} can{did_you_mean(text, FOLLOWERS)}"
