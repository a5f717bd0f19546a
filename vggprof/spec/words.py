"""The words of the grammar: how a spec calls each operator, and what stands right after the word."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from vggprof.spec import ops
from vggprof.spec.kinds import Flag, Kind, Number, Pair, Whole


@dataclass(frozen=True, slots=True)
class Word:
    """What a word of the grammar makes.

    *main* is the option that the word's own argument sets (``conv: 64`` sets ``channels``); *fixed* options
    are part of the word's meaning. Where *follows*, ``then:`` can make it, and *short* begins its name.
    """

    op: type[ops.Op]
    main: str | None = None
    short: str = ""
    follows: bool = False
    fixed: tuple[tuple[str, object], ...] = ()


WORDS: Mapping[str, Word] = {
    "conv": Word(ops.Conv, main="channels"),
    "conv_transpose": Word(ops.ConvTranspose, main="channels"),
    "linear": Word(ops.Linear, main="features"),
    "batch_norm": Word(ops.BatchNorm, short="bn", follows=True),
    "lrn": Word(ops.Lrn, main="size", follows=True),
    "max_pool": Word(ops.MaxPool, main="kernel"),
    "avg_pool": Word(ops.AvgPool, main="kernel"),
    "lp_pool": Word(ops.LpPool, main="kernel"),
    "adaptive_avg_pool": Word(ops.AdaptiveAvgPool, main="size"),
    "adaptive_max_pool": Word(ops.AdaptiveMaxPool, main="size"),
    "global_avg_pool": Word(ops.AdaptiveAvgPool, fixed=(("size", (1, 1)),)),
    "dropout": Word(ops.Dropout, main="p", follows=True),
    "flatten": Word(ops.Flatten),
    "relu": Word(ops.Relu, follows=True),
    "relu6": Word(ops.Relu6, short="relu", follows=True),
    "leaky_relu": Word(ops.LeakyRelu, main="slope", short="relu", follows=True),
    "elu": Word(ops.Elu, main="alpha", follows=True),
    "gelu": Word(ops.Gelu, follows=True),
    "silu": Word(ops.Silu, follows=True),
    "hardswish": Word(ops.Hardswish, follows=True),
    "hardsigmoid": Word(ops.Hardsigmoid, follows=True),
    "sigmoid": Word(ops.Sigmoid, follows=True),
    "tanh": Word(ops.Tanh, follows=True),
    "softmax": Word(ops.Softmax, follows=True),
    "identity": Word(ops.Identity),
    "add": Word(ops.Add),
    "concat": Word(ops.Concat),
    "multiply": Word(ops.Multiply),
}

JOINS = tuple(word for word, made in WORDS.items() if made.op in get_args(ops.Join))
POOLS: tuple[type[ops.Op], ...] = get_args(ops.Pool)  # their stride is their kernel unless it is said
FOLLOWERS = tuple(word for word, made in WORDS.items() if made.follows)


@cache
def option_kinds(word: str) -> Mapping[str, Kind]:
    """Return the options that *word* takes, in the order of its operator's fields, and the kind of each."""
    made = WORDS[word]
    hints = get_type_hints(made.op, include_extras=True)
    fixed = dict(made.fixed)
    return {
        name: _kind(hint)
        for name, hint in hints.items()
        if get_origin(hint) is Annotated and name not in fixed
    }


@cache
def field_names(word: str) -> frozenset[str]:
    """Return all that the operator of *word* is made of."""
    return frozenset(field.name for field in fields(WORDS[word].op))


@cache
def required_options(word: str) -> tuple[str, ...]:
    """Return the options of *word* that have no default."""
    kinds, op = option_kinds(word), WORDS[word].op
    needed = (field.name for field in fields(op) if field.name in kinds and _has_no_default(field))
    return tuple(name for name in needed if not (name == "stride" and op in POOLS))


def _kind(hint: object) -> Kind:
    kind = get_args(hint)[1]
    if not isinstance(kind, Whole | Pair | Number | Flag):
        raise TypeError(f"{hint} carries no kind of option")
    return kind


def _has_no_default(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
