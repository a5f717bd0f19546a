"""Options of layers, checked: what is written becomes numbers within bounds, or one clear sentence."""

from functools import cache
from typing import Annotated, Any, Literal, assert_never

from pydantic import (
    BeforeValidator,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from vggprof.errors import did_you_mean
from vggprof.spec.expressions import ExpressionError, Names, evaluate
from vggprof.spec.kinds import Flag, Kind, Number, Pair, Whole
from vggprof.spec.nodes import Entries, Items, Node, Scalar

# What an expression is made of (`expressions.py`), for editors.
EXPRESSION_PATTERN = r"^[A-Za-z0-9_+*/() -]+$"


class OptionError(ValueError):
    """An option that cannot be what is written; the message goes on right after the option's name."""


def check(kind: Kind, node: Node, names: Names) -> object:
    """Return the value of the option written at *node*: an int, float, bool, word, or (height, width).

    Raises OptionError.
    """
    try:
        return _adapter(kind).validate_python(_plain(node), context=names)
    except ValidationError as error:
        raise OptionError(_sentence(kind, node, error)) from error


def json_schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of an option of *kind* as a spec may write it."""
    return _adapter(kind).json_schema()


@cache
def _adapter(kind: Kind) -> TypeAdapter[Any]:
    return TypeAdapter(_validated_type(kind))


def _validated_type(kind: Kind) -> Any:  # noqa: ANN401 - an annotation made at run time is no type to mypy
    """Return the annotation that pydantic validates options of *kind* with."""
    match kind:
        case Whole():
            return _or_words(_whole_number(kind), kind.words)
        case Pair():
            return _or_words(_two_whole_numbers(kind), kind.words)
        case Number():
            return _fraction(kind)
        case Flag():
            return Annotated[bool, Strict()]
        case _:
            assert_never(kind)


def _whole_number(kind: Whole | Pair) -> Any:  # noqa: ANN401 - as above
    bounds, written = Field(ge=kind.low, le=kind.high), WithJsonSchema(_written_number(kind, "integer"))
    return Annotated[int, Strict(), bounds, BeforeValidator(_resolved), written]


def _two_whole_numbers(kind: Pair) -> Any:  # noqa: ANN401 - as above
    number = _written_number(kind, "integer")
    both = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    pair: Any = tuple[_whole_number(kind), _whole_number(kind)]  # type: ignore[misc]
    return Annotated[pair, BeforeValidator(_twice), WithJsonSchema({"anyOf": [*number["anyOf"], both]})]


def _fraction(kind: Number) -> Any:  # noqa: ANN401 - as above
    bounds, written = Field(ge=kind.low, le=kind.high), WithJsonSchema(_written_number(kind, "number"))
    return Annotated[float, bounds, BeforeValidator(_resolved), BeforeValidator(_no_flag), written]


def _written_number(kind: Whole | Pair | Number, json_type: str) -> dict[str, Any]:
    """Return the JSON Schema of a number as a spec may write it: plainly, or as an expression."""
    number = {"type": json_type, "minimum": kind.low, "maximum": kind.high}
    return {"anyOf": [number, {"type": "string", "pattern": EXPRESSION_PATTERN}]}


def _or_words(number: Any, words: tuple[str, ...]) -> Any:  # noqa: ANN401 - as above
    return Literal[words] | number if words else number


def _resolved(value: object, info: ValidationInfo) -> object:
    """Return the number that an expression stands for."""
    if not isinstance(value, str) or not isinstance(info.context, Names):
        return value
    try:
        return evaluate(value, info.context)
    except ExpressionError as error:
        raise PydanticCustomError("expression", "{why}", {"why": str(error)}) from error


def _no_flag(value: object) -> object:
    """Refuse true and false, which Python would take for 1 and 0."""
    return None if isinstance(value, bool) else value


def _twice(value: object) -> object:
    """Return a single number for height and width alike."""
    return value if isinstance(value, list) else (value, value)


def _plain(node: Node) -> object:
    """Return *node* as Python values."""
    match node:
        case Scalar():
            return node.plain()
        case Items():
            return [_plain(item) for item in node.items]
        case Entries():
            return {key.text: _plain(value) for key, value in node.entries}


def _sentence(kind: Kind, node: Node, error: ValidationError) -> str:
    """Return why *node* is not of *kind*, in our words."""
    problems = error.errors(include_url=False)
    for problem in problems:
        if problem["type"] == "expression":
            return f": {problem['msg']}{_near_word(kind, node)}"
    for problem in problems:
        if problem["type"] in {"greater_than_equal", "less_than_equal"}:
            return f" is {problem['input']}{_reckoned(node, problem['input'])}; {wants(kind)} is wanted"
    return f" is {_written(node)}; {wants(kind)} is wanted"


def _near_word(kind: Kind, node: Node) -> str:
    words = kind.words if isinstance(kind, Whole | Pair) else ()
    return did_you_mean(node.text, words) if isinstance(node, Scalar) else ""


def _reckoned(node: Node, value: object) -> str:
    """Return how *value* came about where it is not written as it is."""
    is_expression = isinstance(node, Scalar) and node.plain() != value
    return f" by {_written(node)}" if is_expression else ""


def _written(node: Node) -> str:
    match node:
        case Scalar():
            return repr(node.text[:60]) if node.text else "empty"
        case Items():
            return f"a list of {len(node.items)}"
        case Entries():
            return "a mapping"


def wants(kind: Kind) -> str:
    """Return what *kind* takes, in words: ``a whole number from 1 to 64``."""
    match kind:
        case Whole():
            return _with_words(f"a whole number from {kind.low} to {kind.high}", kind.words)
        case Pair():
            return _with_words(
                f"a whole number from {kind.low} to {kind.high}, or two of them as [height, width]",
                kind.words,
            )
        case Number():
            return f"a number from {kind.low:g} to {kind.high:g}"
        case Flag():
            return "true or false"
        case _:
            assert_never(kind)


def _with_words(text: str, words: tuple[str, ...]) -> str:
    return " or ".join((text, *(repr(word) for word in words)))
