"""Blocks: named pieces of network with parameters of their own, as a spec declares them."""

from dataclasses import dataclass

from vggprof.errors import did_you_mean
from vggprof.spec.archspec import ParameterValue
from vggprof.spec.expressions import WORD, Names
from vggprof.spec.head import declared, parameter_value
from vggprof.spec.nodes import Entries, Items, Node, Scalar
from vggprof.spec.place import Place, Problems

MAX_BLOCKS = 200
USE_KEYS = ("block", "repeat")
BLOCK_KEYS = ("parameters", "layers")


@dataclass(frozen=True, slots=True)
class Block:
    """One block; a parameter whose value is empty must be given where the block is used."""

    name: str
    parameters: tuple[tuple[Scalar, Node], ...]
    layers: Items
    at: Place


def read_blocks(node: Node | None, problems: Problems) -> dict[str, Block]:
    """Return the blocks under ``blocks:`` by name; what is no block is left out, with a problem added."""
    if node is None or (isinstance(node, Scalar) and node.is_empty):
        return {}
    if not isinstance(node, Entries):
        problems.add(node.at, "blocks: a mapping from names to blocks is wanted")
        return {}
    if len(node.entries) > MAX_BLOCKS:
        problems.stop(node.entries[MAX_BLOCKS][0].at, f"more than {MAX_BLOCKS} blocks")
    found = (_block(name, value, problems) for name, value in node.entries)
    return {block.name: block for block in found if block is not None}


def _block(name: Scalar, node: Node, problems: Problems) -> Block | None:
    if not WORD.fullmatch(name.text) or len(name.text) > 60:
        problems.add(
            name.at, f"{name.text[:60]!r} is no name for a block; letters, digits and '_' are allowed"
        )
    if not isinstance(node, Entries):
        problems.add(node.at, f"block {name.text!r}: a mapping with parameters: and layers: is wanted")
        return None
    for key, _ in node.entries:
        if key.text not in BLOCK_KEYS:
            nearest = did_you_mean(key.text, BLOCK_KEYS)
            problems.add(
                key.at,
                f"block {name.text!r} has no key {key.text!r}; parameters and layers are allowed{nearest}",
            )
    layers = node.find("layers")
    if not isinstance(layers, Items) or not layers.items:
        problems.add(
            layers.at if layers else name.at, f"block {name.text!r} needs layers: a list with a layer or more"
        )
        return None
    return Block(name.text, declared(node.find("parameters"), problems), layers, name.at)


def bind(block: Block, use: Entries, outer: Names, problems: Problems, *, shared: Names) -> Names | None:
    """Return the names inside *block* as used at *use*: its own parameters, then the spec's (*shared*).

    Arguments are read with the *outer* names around the use. None, with problems added, if they do not fit.
    """
    known = tuple(name.text for name, _ in block.parameters)
    _refuse_strangers(block.name, use, known, problems)
    values: dict[str, ParameterValue] = {}
    for name, default in block.parameters:
        given = use.find(name.text)
        names = Names(values, shared) if given is None else outer
        node = given or default
        if isinstance(node, Scalar) and node.is_empty:
            example = f"{{block: {block.name}, {name.text}: ...}}"
            problems.add(use.at, f"block {block.name!r} needs {name.text!r}; write {example}")
            continue
        value = parameter_value(name.text, node, names, problems)
        if value is not None:
            values[name.text] = value
    return Names(values, shared) if len(values) == len(known) else None


def _refuse_strangers(block: str, use: Entries, known: tuple[str, ...], problems: Problems) -> None:
    for key, _ in use.entries:
        if key.text not in (*USE_KEYS, *known):
            nearest = did_you_mean(key.text, (*known, *USE_KEYS))
            has = f"it has {', '.join(known)}" if known else "it has none"
            problems.add(key.at, f"block {block!r} has no parameter {key.text!r}; {has}{nearest}")
