"""The algebra of windows against looking at every pixel."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from vggprof.analyzers.windows import PIXELS, Beyond, Reach, Windows, enlarge, hull, slide, spread, union

Pixels = Callable[[int], frozenset[int]]  # what an output position sees


@dataclass(frozen=True)
class Motion:
    """One operator: as the algebra does it, and as its definition says."""

    text: str
    on_reach: Callable[[Reach], Reach]
    inputs: Callable[[int], list[int]]  # input positions of an output position

    def __repr__(self) -> str:
        return self.text


def convolution(size: int, stride: int, padding: int, dilation: int) -> Motion:
    return Motion(
        f"slide({size}, {stride}, {padding}, {dilation})",
        lambda reach: slide(reach, size=size, stride=stride, padding=padding, dilation=dilation),
        lambda out: [out * stride - padding + tap * dilation for tap in range(size)],
    )


def transposed(size: int, stride: int, padding: int, dilation: int) -> Motion:
    """Input i adds to the outputs i x stride - padding + tap x dilation, for each tap."""
    return Motion(
        f"spread({size}, {stride}, {padding}, {dilation})",
        lambda reach: spread(reach, size=size, stride=stride, padding=padding, dilation=dilation),
        lambda out: [
            i
            for i in range(out // stride - 30, out // stride + 30)
            if out in [i * stride - padding + tap * dilation for tap in range(size)]
        ],
    )


def nearest(factor: int) -> Motion:
    return Motion(
        f"enlarge({factor})", lambda reach: enlarge(reach, factor=factor), lambda out: [out // factor]
    )


steps = st.one_of(
    st.builds(convolution, st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2)),
    st.builds(transposed, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)),
    st.builds(nearest, st.integers(1, 3)),
)


@given(st.lists(steps, max_size=4), st.integers(-5, 5))
def test_windows_hold_what_each_output_sees(motions: list[Motion], position: int) -> None:
    reach: Reach = PIXELS
    for motion in motions:
        reach = motion.on_reach(reach)
    positions = [position]
    for motion in reversed(motions):
        positions = sorted({i for out in positions for i in motion.inputs(out)})
    assert isinstance(reach, Windows)
    window = reach.at(position)
    assert window == ((positions[0], positions[-1]) if positions else None)


def test_two_3x3_convolutions_see_5_pixels() -> None:
    # The VGG paper, section 2.3: a stack of two 3x3 layers has an effective field of 5x5, three 7x7.
    twice = slide(slide(PIXELS, size=3, padding=1), size=3, padding=1)
    thrice = slide(twice, size=3, padding=1)
    assert isinstance(twice, Windows)
    assert isinstance(thrice, Windows)
    assert (twice.size, twice.stride, twice.offset) == (5, 1, -2)
    assert (thrice.size, thrice.stride, thrice.offset) == (7, 1, -3)


def test_a_dilated_kernel_sees_as_far_as_its_taps() -> None:
    # 3 taps, 2 apart: (3 - 1) x 2 + 1 = 5.
    assert slide(PIXELS, size=3, dilation=2) == Windows(((0, 4),), 1)


def test_a_transposed_convolution_halves_the_stride() -> None:
    # Kernel 3, stride 2, padding 1: even outputs see one input, odd ones two.
    up = spread(PIXELS, size=3, stride=2, padding=1)
    assert up == Windows(((0, 0), (0, 1)), 1)
    assert isinstance(up, Windows)
    assert (up.size, up.stride, up.offset) == (2, 0.5, 0)


def test_a_transposed_kernel_smaller_than_its_stride_leaves_outputs_that_see_nothing() -> None:
    up = spread(PIXELS, size=1, stride=2)
    assert up == Windows(((0, 0), None), 1)
    assert isinstance(up, Windows)
    assert (up.size, up.offset) == (1, 0)


def test_linear_interpolation_sees_the_two_nearest_inputs() -> None:
    # Twice as many outputs: output 0 lies at -0.25, between inputs -1 and 0; output 1 at 0.25.
    assert enlarge(PIXELS, factor=2, linear=True) == Windows(((-1, 0), (0, 1)), 1)
    # Three times: the middle one of three lies on an input and sees that alone.
    assert enlarge(PIXELS, factor=3, linear=True) == Windows(((-1, 0), (0, 0), (0, 1)), 1)


def test_strides_come_back_after_going_up_and_down() -> None:
    up = enlarge(PIXELS, factor=2)
    assert slide(up, size=2, stride=2) == PIXELS


windows = st.builds(
    Windows,
    st.lists(st.tuples(st.integers(-9, 0), st.integers(0, 9)), min_size=1, max_size=3).map(tuple),
    st.sampled_from([0, 6, 12]),
)


@given(windows, windows, st.integers(-7, 7))
def test_a_union_is_the_hull_at_each_place(one: Windows, other: Windows, position: int) -> None:
    both = union([one, other])
    if one.advance * len(other.cycle) == other.advance * len(one.cycle):
        assert isinstance(both, Windows)
        assert both.at(position) == hull([one.at(position), other.at(position)])
    else:
        assert both is Beyond.UNDEFINED


@given(windows)
def test_the_whole_input_takes_in_everything(one: Windows) -> None:
    assert union([one, Beyond.WHOLE]) is Beyond.WHOLE
    assert union([Beyond.UNDEFINED, Beyond.WHOLE]) is Beyond.WHOLE
    assert union([one, Beyond.UNDEFINED]) is Beyond.UNDEFINED
    assert union([one]) == one
    for beyond in Beyond:
        assert slide(beyond, size=3) is spread(beyond, size=3) is enlarge(beyond, factor=2) is beyond
