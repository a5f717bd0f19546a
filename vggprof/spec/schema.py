"""The grammar as a JSON Schema, for editors: made of the words, options and bounds that specs are read by.

``python -m vggprof.spec.schema`` writes it; it is shipped as ``vggspec.schema.json`` beside the specs. It is
looser than the reader where JSON Schema cannot say more: names, parameters and shapes are not checked.
"""

import json
import sys
from typing import Any

from vggprof.spec.expanding import REPEAT
from vggprof.spec.head import BODY_KEYS, HEAD_KEYS, MAX_TEXT, NAME
from vggprof.spec.options import EXPRESSION_PATTERN, json_schema
from vggprof.spec.words import FOLLOWERS, JOINS, WORDS, option_kinds

Schema = dict[str, Any]

_LAYER_NAME = "^[A-Za-z0-9_]{1,100}$"
_EXPRESSION: Schema = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": EXPRESSION_PATTERN}]}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_LINE: Schema = {"type": "string", "maxLength": MAX_TEXT}


def schema() -> Schema:
    """Return the JSON Schema (draft 7, which editors know best) of spec files."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "vggprof architecture spec",
        "type": "object",
        "properties": {**_head(), **_body()},
        "required": ["input", "layers"],
        "additionalProperties": False,
        "definitions": _definitions(),
    }


def schema_text() -> str:
    """Return `schema` as it is shipped."""
    return json.dumps(schema(), indent=1) + "\n"


def _head() -> Schema:
    sizes = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3}
    said: Schema = {
        "name": {**_NAME, "description": "Called after the file if it is left out."},
        "title": _LINE,
        "aliases": {"type": "array", "items": _NAME},
        "source": {**_LINE, "description": "Where the architecture was published."},
        "input": {
            "anyOf": [{"type": "string", "pattern": "^[0-9]+x[0-9]+x[0-9]+$"}, sizes],
            "description": "Channels x height x width, as in 3x224x224.",
        },
        "parameters": _parameters(
            "Numbers that layers can use by name, and that NAME@parameter=value overrides."
        ),
    }
    return {key: said[key] for key in HEAD_KEYS}


def _body() -> Schema:
    block = _object(
        {"parameters": _parameters("A parameter without a value must be given."), "layers": _ref("layers")}
    )
    said: Schema = {
        "defaults": _object({word: _ref(f"{word}-options") for word in WORDS}),
        "blocks": {"type": "object", "additionalProperties": {**block, "required": ["layers"]}},
        "layers": _ref("layers"),
    }
    return {key: said[key] for key in BODY_KEYS}


def _definitions() -> Schema:
    bare = {"enum": [word for word in WORDS if word not in JOINS]}
    calls = [_ref(word) for word in WORDS]
    named = {
        "type": "object",
        "patternProperties": {_LAYER_NAME: _ref("value")},
        "minProperties": 1,
        "maxProperties": 1,
    }
    followers = {"anyOf": [{"enum": list(FOLLOWERS)}, *(_ref(word) for word in FOLLOWERS)]}
    return {
        "layers": {"type": "array", "items": _ref("item"), "minItems": 1},
        "item": {"anyOf": [bare, *calls, _ref("use"), {**named, "additionalProperties": False}]},
        "value": {"anyOf": [bare, *calls, _ref("use"), _ref("layers")]},
        "branch": {"anyOf": [_ref("value"), _ref("item"), {"type": "array", "maxItems": 0}]},
        "use": _use(),
        "then": {"anyOf": [{"type": "null"}, followers, {"type": "array", "items": followers}]},
        **{word: _call(word) for word in WORDS},
        **{f"{word}-options": _object(_options(word)) for word in WORDS},
    }


def _use() -> Schema:
    properties = {"block": {"type": "string"}, "repeat": json_schema(REPEAT)}
    return {
        "type": "object",
        "properties": properties,
        "required": ["block"],
        "additionalProperties": _EXPRESSION,
    }


def _call(word: str) -> Schema:
    """Return the schema of ``{word: argument, option: ..., then: ...}``."""
    options = _options(word)
    branches = {"type": "object", "additionalProperties": _ref("branch"), "minProperties": 2}
    argument = branches if word in JOINS else {"anyOf": _arguments(word, options)}
    called = _object({word: argument, **options})
    return {**called, "required": [word], "description": _sentence(word)}


def _arguments(word: str, options: Schema) -> list[Schema]:
    """Return what may stand right after *word*."""
    main = WORDS[word].main
    return [*([options[main]] if main else []), {"type": "null"}, _ref(f"{word}-options")]


def _options(word: str) -> Schema:
    return {**{name: json_schema(kind) for name, kind in option_kinds(word).items()}, "then": _ref("then")}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _parameters(description: str) -> Schema:
    values = {"anyOf": [{"type": "null"}, *_EXPRESSION["anyOf"]]}
    return {"type": ["object", "null"], "additionalProperties": values, "description": description}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _sentence(word: str) -> str:
    return (WORDS[word].op.__doc__ or "").split("\n", maxsplit=1)[0]


if __name__ == "__main__":
    sys.stdout.write(schema_text())
