"""The copies, outputs and questions of a cuDNN convolution, followed through ConvShared.cpp by hand."""

import pytest

from vggprof.errors import UsageError
from vggprof.memory.workspaces.actions import Action, Give, Output, Take, Workspace
from vggprof.memory.workspaces.convolution import ConvProblem, Pass, Strided, as_2d
from vggprof.memory.workspaces.cudnn_calls import backward, cudnn_query, forward
from vggprof.memory.workspaces.formats import MemoryFormat, empty

X, W, Y = (8, 64, 28, 28), (96, 64, 3, 3), (8, 96, 28, 28)
C, L = MemoryFormat.CONTIGUOUS, MemoryFormat.CHANNELS_LAST


def _problem(
    which: Pass = Pass.FORWARD,
    *,
    x: MemoryFormat = C,
    w: MemoryFormat = C,
    y: MemoryFormat | Strided = C,
    dtype: str = "float32",
) -> ConvProblem:
    output = y if isinstance(y, Strided) else empty(Y, y)
    return ConvProblem(which, dtype, empty(X, x), empty(W, w), output, (1, 1), (1, 1), (1, 1))


def _told(script: tuple[Action, ...]) -> list[str]:
    """The script in words: "copy of weight 221184", "output 0", "ask forward", "give copy of weight"."""
    words = []
    for action in script:
        match action:
            case Take(name, nbytes, _):
                words.append(f"{name} {nbytes}")
            case Give(name):
                words.append(f"give {name}")
            case Output(index):
                words.append(f"output {index}")
            case Workspace(query, _):
                words.append(f"ask {query.operation.value}")
    return words


def test_contiguous_tensors_are_not_copied() -> None:
    assert _told(forward(_problem())) == ["output 0", "ask forward"]
    told = _told(backward(_problem(), wants_input=True, wants_weight=True))
    assert told == ["output 0", "ask dgrad", "output 1", "ask wgrad"]


def test_first_layers_have_no_input_gradient() -> None:
    assert _told(backward(_problem(), wants_input=False, wants_weight=True)) == ["output 1", "ask wgrad"]


# channels_last input, contiguous weight: all in channels_last, the weight is copied for the call.
# weight: 96*64*3*3 numbers of 4 bytes = 221,184.
def test_a_channels_last_input_copies_a_contiguous_weight() -> None:
    assert _told(forward(_problem(x=L))) == [
        "output 0",
        "copy of weight 221184",
        "ask forward",
        "give copy of weight",
    ]
    query = cudnn_query(_problem(x=L))
    assert (query.x, query.w, query.y) == (empty(X, L), empty(W, L), empty(Y, L))


# The other way round the input is copied, and before the output: 8*64*28*28 * 4 = 1,605,632.
def test_a_channels_last_weight_copies_a_contiguous_input() -> None:
    assert _told(forward(_problem(w=L))) == [
        "copy of input 1605632",
        "output 0",
        "ask forward",
        "give copy of input",
    ]


# float64 has no channels_last in cuDNN: cudnn_conv_suggest_memory_format says contiguous.
def test_float64_is_computed_contiguous() -> None:
    query = cudnn_query(_problem(x=L, w=L, dtype="float64"))
    assert (query.x, query.w, query.y) == (empty(X, C), empty(W, C), empty(Y, C))


# A gradient that comes in contiguous where the input is channels_last is converted once for both results:
# 8*96*28*28 * 4 = 2,408,448 bytes.
def test_a_gradient_in_another_format_is_copied_once() -> None:
    script = backward(_problem(x=L, w=L, y=C), wants_input=True, wants_weight=True)
    assert _told(script) == [
        "copy of gradient 2408448",
        "output 0",
        "ask dgrad",
        "output 1",
        "ask wgrad",
        "give copy of gradient",
    ]


# A gradient that is expanded (from sum().backward()) suggests contiguous, but is not dense: each result
# copies it anew.
def test_an_expanded_gradient_is_copied_for_each_result() -> None:
    script = backward(_problem(y=Strided(Y, (0, 0, 0, 0))), wants_input=True, wants_weight=True)
    assert _told(script) == [
        "output 0",
        "copy of gradient, dense 2408448",
        "ask dgrad",
        "give copy of gradient, dense",
        "copy of gradient, dense 2408448",
        "output 1",
        "ask wgrad",
        "give copy of gradient, dense",
    ]


# A transposed convolution is cuDNN's data gradient of the plain one that goes the other way.
def test_transposed_convolutions_ask_the_other_way_round() -> None:
    def problem(which: Pass) -> ConvProblem:
        image, weight, result = (4, 32, 10, 10), (32, 16, 2, 2), (4, 16, 20, 20)
        x, w, y = (Strided.contiguous(shape) for shape in (image, weight, result))
        return ConvProblem(which, "float32", x, w, y, (0, 0), (2, 2), (1, 1), transposed=True)

    asked = {which: cudnn_query(problem(which)) for which in Pass}
    assert [asked[which].operation for which in Pass] == [Pass.DGRAD, Pass.FORWARD, Pass.WGRAD]
    for query in asked.values():
        assert (query.x.shape, query.w.shape, query.y.shape) == (
            (4, 16, 20, 20),
            (32, 16, 2, 2),
            (4, 32, 10, 10),
        )
    told = _told(backward(problem(Pass.DGRAD), wants_input=True, wants_weight=True))
    assert told == ["output 0", "ask forward", "output 1", "ask wgrad"]


def test_1d_convolutions_are_2d_ones_of_height_1() -> None:
    problem = ConvProblem(
        Pass.FORWARD,
        "float16",
        Strided.contiguous((2, 8, 100)),
        Strided.contiguous((4, 8, 5)),
        Strided.contiguous((2, 4, 48)),
        (0,),
        (2,),
        (1,),
    )
    flat = as_2d(problem)
    assert (flat.input.shape, flat.weight.shape, flat.output.shape) == (
        (2, 8, 1, 100),
        (4, 8, 1, 5),
        (2, 4, 1, 48),
    )
    assert (flat.padding, flat.stride, flat.dilation) == ((0, 0), (1, 2), (1, 1))
    assert cudnn_query(problem).x.strides == (800, 100, 100, 1)


@pytest.mark.parametrize(
    ("dtype", "weight", "padding", "what"),
    [
        ("int8", (96, 64, 3, 3), (1, 1), "int8"),
        ("float32", (96, 64, 3), (1, 1), "2- or 3-D"),
        ("float32", (96, 64, 3, 3), (1,), "2 numbers each"),
        ("float32", (96, 32, 3, 3), (1, 1), "64 channels"),
    ],
)
def test_tensors_that_do_not_belong_together(
    dtype: str, weight: tuple[int, ...], padding: tuple[int, ...], what: str
) -> None:
    x, w, y = (Strided.contiguous(shape) for shape in (X, weight, Y))
    with pytest.raises(UsageError, match=what):
        ConvProblem(Pass.FORWARD, dtype, x, w, y, padding, (1, 1), (1, 1))
