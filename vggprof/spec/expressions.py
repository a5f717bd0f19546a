"""Small arithmetic over a spec's parameters: ``4*width``, ``(out - 1) // 2``. Parsed and bounded, never code.

sum    := product (("+" | "-") product)*
product:= unary (("*" | "//") unary)*
unary  := "-" unary | number | name | "(" sum ")"
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from vggprof.errors import did_you_mean

MAX_CHARACTERS = 200
MAX_DEPTH = 20
MAX_VALUE = 10**15  # of every intermediate result: no product can grow without end

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>//|[-+*()])|(?P<bad>\S))"
)


class ExpressionError(ValueError):
    """An expression that means nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Names:
    """The parameters an expression may name: *own* ones, then those *outer* to a block.

    *used* notes which of the own ones were asked for.
    """

    own: Mapping[str, int | float]
    outer: "Names | None" = None
    used: set[str] = field(default_factory=set)

    def all(self) -> tuple[str, ...]:
        """Return every name that can be used here, the nearest first."""
        return tuple(dict.fromkeys((*self.own, *(self.outer.all() if self.outer else ()))))

    def knows(self, name: str) -> bool:
        """Whether *name* can be used here."""
        return name in self.own or (self.outer is not None and self.outer.knows(name))

    def value(self, name: str) -> int | float:
        """Return what *name* stands for; raises ExpressionError for a stranger."""
        if name in self.own:
            self.used.add(name)
            return self.own[name]
        if self.outer is not None and self.outer.knows(name):
            return self.outer.value(name)
        known = ", ".join(self.all())
        there_are = f"the parameters here are {known}" if known else "there are no parameters here"
        raise ExpressionError(f"unknown parameter {name!r}; {there_are}{did_you_mean(name, self.all())}")


def evaluate(text: str, names: Names) -> int | float:
    """Return the value of *text*: a whole number, or the fraction that a parameter alone stands for.

    Raises ExpressionError.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"an expression of {len(text)} characters; {MAX_CHARACTERS} are allowed")
    if WORD.fullmatch(text):
        return names.value(text)
    parser = _Parser(text, names)
    value = parser.sum(depth=0)
    parser.expect_end()
    return value


class _Parser:
    """Recursive descent with one token of lookahead; evaluates as it reads."""

    def __init__(self, text: str, names: Names) -> None:
        self._text, self._names = text, names
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def sum(self, depth: int) -> int:
        value = self._product(depth)
        while self._next[1] in {"+", "-"}:
            sign = self._advance()
            right = self._product(depth)
            value = _bounded(value + right if sign == "+" else value - right)
        return value

    def expect_end(self) -> None:
        if self._next[0] != "end":
            raise self._surprise()

    def _product(self, depth: int) -> int:
        value = self._unary(depth)
        while self._next[1] in {"*", "//"}:
            sign = self._advance()
            right = self._unary(depth)
            if sign == "//" and right == 0:
                raise ExpressionError(f"{self._text!r} divides by 0")
            value = _bounded(value * right if sign == "*" else value // right)
        return value

    def _unary(self, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"an expression nested more than {MAX_DEPTH} deep")
        match self._next:
            case ("sign", "-"):
                self._advance()
                return -self._unary(depth + 1)
            case ("sign", "("):
                self._advance()
                value = self.sum(depth + 1)
                self._close()
                return value
            case ("number", digits):
                self._advance()
                return _bounded(int(digits))
            case ("name", name):
                self._advance()
                return self._whole(name)
            case _:
                raise self._surprise()

    def _close(self) -> None:
        if self._next != ("sign", ")"):
            raise self._surprise()
        self._advance()

    def _whole(self, name: str) -> int:
        value = self._names.value(name)
        if not isinstance(value, int):
            raise ExpressionError(f"{name!r} is {value}; only whole numbers can be reckoned with")
        return value

    def _advance(self) -> str:
        _, word = self._next
        self._next = next(self._tokens)
        return word

    def _surprise(self) -> ExpressionError:
        kind, word = self._next
        what = "it ends too early" if kind == "end" else f"{word!r} is not expected there"
        return ExpressionError(
            f"cannot read {self._text!r}: {what}; numbers, parameters, + - * // and ( ) are allowed"
        )


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, word) for each token, then ("end", "") for ever."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "bad"
        yield kind, match.group(kind)
    while True:
        yield "end", ""


def _bounded(value: int) -> int:
    if abs(value) > MAX_VALUE:
        raise ExpressionError(f"a number beyond {MAX_VALUE}")
    return value
