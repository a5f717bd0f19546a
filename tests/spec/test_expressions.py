"""Expressions over parameters: what they mean, and that nothing else can be made of them."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.spec.expressions import MAX_VALUE, ExpressionError, Names, evaluate

NAMES = Names({"width": 64, "two": 2, "rate": 0.25, "x": 7})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("width", 64),
        ("4*width", 256),
        ("width // 3", 21),
        ("-width // 3", -22),  # floors, as Python does
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 2 - 3", 5),  # from the left
        ("- -5", 5),
        ("2*(width - 1)//two", 63),
        ("rate", 0.25),
    ],
)
def test_means_what_arithmetic_means(text: str, value: float) -> None:
    assert evaluate(text, NAMES) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "widht",
            "unknown parameter 'widht'; the parameters here are width, two, rate, x; did you mean 'width'?",
        ),
        ("1//0", "'1//0' divides by 0"),
        ("1//(two-2)", "'1//(two-2)' divides by 0"),
        ("2*rate", "'rate' is 0.25; only whole numbers can be reckoned with"),
        (
            "4**2",
            "cannot read '4**2': '*' is not expected there; numbers, parameters, + - * // and ( ) are "
            "allowed",
        ),
        (
            "7/2",
            "cannot read '7/2': '/' is not expected there; numbers, parameters, + - * // and ( ) are allowed",
        ),
        ("(1", "cannot read '(1': it ends too early; numbers, parameters, + - * // and ( ) are allowed"),
        ("", "cannot read '': it ends too early; numbers, parameters, + - * // and ( ) are allowed"),
        (
            "1 2",
            "cannot read '1 2': '2' is not expected there; numbers, parameters, + - * // and ( ) are allowed",
        ),
        (
            "x(1)",
            "cannot read 'x(1)': '(' is not expected there; numbers, parameters, + - * // and ( ) are "
            "allowed",
        ),
        ("a.b", "unknown parameter 'a'; the parameters here are width, two, rate, x"),
        ("(" * 30 + "1" + ")" * 30, "an expression nested more than 20 deep"),
        ("-" * 30 + "1", "an expression nested more than 20 deep"),
        ("1+" * 200 + "1", "an expression of 401 characters; 200 are allowed"),
        ("9" * 20, "a number beyond 1000000000000000"),
        ("*".join(["99999999"] * 3), "a number beyond 1000000000000000"),
    ],
)
def test_refuses_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, NAMES)
    assert str(caught.value) == message


def test_a_block_sees_its_own_parameters_before_the_specs() -> None:
    outer = Names({"width": 64, "classes": 10})
    inner = Names({"width": 8}, outer)
    assert evaluate("width + classes", inner) == 18
    assert (inner.used, outer.used) == ({"width"}, {"classes"})


Tree = int | str | tuple[str, "Tree", "Tree"]
LEAVES = st.integers(0, 99) | st.sampled_from(["width", "two", "x"])
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}


def trees() -> st.SearchStrategy[Tree]:
    return st.recursive(
        LEAVES, lambda deeper: st.tuples(st.sampled_from(sorted(OPERATORS)), deeper, deeper), max_leaves=8
    )


def written(tree: Tree) -> str:
    if isinstance(tree, tuple):
        sign, left, right = tree
        return f"({written(left)} {sign} {written(right)})"
    return str(tree)


def reckoned(tree: Tree) -> int:
    """Return the value of *tree* by Python's own operators."""
    if isinstance(tree, tuple):
        sign, left, right = tree
        return int(OPERATORS[sign](reckoned(left), reckoned(right)))
    return int(NAMES.own[tree]) if isinstance(tree, str) else tree


@given(trees())
def test_agrees_with_python(tree: Tree) -> None:
    text = written(tree)
    try:
        expected = reckoned(tree)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="divides by 0"):
            evaluate(text, NAMES)
        return
    if len(text) <= 200 and abs(expected) < 10**9:
        assert evaluate(text, NAMES) == expected


@given(st.text() | st.text(alphabet="0123456789+-*/() widthx", max_size=60))
def test_any_text_is_a_bounded_number_or_refused(text: str) -> None:
    try:
        value = evaluate(text, NAMES)
    except ExpressionError:
        return
    assert abs(value) <= MAX_VALUE
