"""The JSON Schema of specs: up to date, satisfied by every shipped spec, and not by mistakes."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeAlias

import pytest

from vggprof.spec import find_shipped, shipped_names
from vggprof.spec.nodes import Entries, Items, Node, Scalar, compose
from vggprof.spec.place import Problems
from vggprof.spec.schema import schema, schema_text
from vggprof.spec.words import WORDS


def as_json(node: Node) -> object:
    match node:
        case Scalar():
            return node.plain()
        case Items():
            return [as_json(item) for item in node.items]
        case Entries():
            return {key.text: as_json(value) for key, value in node.entries}


def parsed(text: str) -> object:
    node = compose(text, Problems("net.yaml"))
    assert node is not None
    return as_json(node)


Judge: TypeAlias = Callable[[object], bool]


@pytest.fixture(scope="module")
def is_valid() -> Judge:
    """Return whether a document satisfies the schema, by another's judgement."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft7Validator.check_schema(schema())
    judge: Judge = jsonschema.Draft7Validator(schema()).is_valid
    return judge


def test_the_shipped_schema_is_up_to_date() -> None:
    shipped = files("vggprof.specs").joinpath("vggspec.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(), "run: python -m vggprof.spec.schema > specs/vggspec.schema.json"


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_specs_satisfy_it_and_name_it(is_valid: Judge, name: str) -> None:
    text = find_shipped(name).read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=vggspec.schema.json\n")
    assert is_valid(parsed(text))


@pytest.mark.parametrize(
    "item",
    [
        "relu",
        "act: relu",
        "{conv: 4*width, kernel: [3, 1], padding: same, groups: depthwise, then: [relu, {dropout: 0.2}]}",
        "stage: [{block: cell, width: 3, repeat: 2}, {x: {lrn: 5}}]",
        "{add: {main: [relu], shortcut: []}, inplace: true, then: relu}",
        "j: {concat: {a: relu, b: {conv: 3, kernel: 1}, c: []}}",
        "relu: {inplace: true}",
        "lrn",
    ],
)
def test_what_the_reader_takes_it_takes(is_valid: Judge, item: str) -> None:
    assert is_valid(parsed(f"input: 3x8x8\nlayers:\n  - {item}\n"))


MISTAKES: dict[str, Any] = {
    "no layers": "input: 3x8x8\n",
    "an unknown key": "input: 3x8x8\nlayer: [relu]\nlayers: [relu]\n",
    "an unknown op": "input: 3x8x8\nlayers: [rellu]\n",
    "an unknown option": "input: 3x8x8\nlayers: [{conv: 8, kernal: 3}]\n",
    "channels out of bounds": "input: 3x8x8\nlayers: [{conv: 0, kernel: 3}]\n",
    "a word for a number": "input: 3x8x8\nlayers: [{conv: 8, kernel: three!}]\n",
    "one branch": "input: 3x8x8\nlayers: [{add: {a: []}}]\n",
    "a pool that follows": "input: 3x8x8\nlayers: [{linear: 8, then: max_pool}]\n",
    "an input of two sizes": "input: 8x8\nlayers: [relu]\n",
    "a default of no op": "input: 3x8x8\ndefaults: {convv: {kernel: 3}}\nlayers: [relu]\n",
}


@pytest.mark.parametrize("text", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes(is_valid: Judge, text: str) -> None:
    assert not is_valid(parsed(text))


def test_every_op_is_described() -> None:
    definitions = schema()["definitions"]
    assert all(definitions[word]["description"] for word in WORDS)
