"""Layers and their partners, in factors: by hand, and exactly for any numbers of layers."""

from dataclasses import replace
from math import exp, log

import pytest
from hand_profiles import layer, profile_of, table
from hypothesis import given
from hypothesis import strategies as st

from vggprof.compare import Alignment, Cause, Profile, Quantity, Split
from vggprof.compare.attribution import alignment_of, splits
from vggprof.compare.terms import mac_amounts, overlaps, partnered


def chain(name: str, *convolutions: tuple[int, int, int], classifier: int = 0) -> Profile:
    """Return convolutions of (extent, kernel area, channel products) on two images, each its own stage."""
    rows = [
        layer(f"conv{n}", f"stage{n}", extent=extent, macs=2 * extent**2 * area * channels)
        for n, (extent, area, channels) in enumerate(convolutions, start=1)
    ]
    extents = [extent for extent, _, _ in convolutions]
    areas = {f"conv{n}": area for n, (_, area, _) in enumerate(convolutions, start=1)}
    if classifier:
        rows.append(layer("fc", "classifier", op="Linear", macs=classifier))
    return profile_of(table(name, rows, extents), areas=areas)


def macs(first: Profile, second: Profile, alignment: Alignment = Alignment.ORDER) -> Split:
    (found,) = (s for s in splits(first, second, alignment) if s.quantity is Quantity.MACS)
    return found


@given(st.integers(1, 40), st.integers(1, 40))
def test_parts_of_the_way_overlap_completely(first: int, second: int) -> None:
    found = list(overlaps(first, second))
    for i in range(first):
        assert sum(share for a, _, share in found if a == i) == second
    for j in range(second):
        assert sum(share for _, b, share in found if b == j) == first


def test_two_parts_against_three() -> None:
    # Of six: the first of two covers 0 to 3, the second 3 to 6; of three 0 to 2, 2 to 4, 4 to 6.
    assert list(overlaps(2, 3)) == [(0, 0, 2), (0, 1, 1), (1, 1, 1), (1, 2, 2)]


@pytest.mark.parametrize(
    ("edited", "cause", "factor"),
    [
        ([(56, 9, 6), (28, 9, 10)], Cause.RESOLUTION, 1 / 4),
        ([(112, 9, 60), (56, 9, 100)], Cause.WIDTH, 10),
        ([(112, 1, 6), (56, 1, 10)], Cause.KERNEL_SIZE, 1 / 9),
        ([(112, 9, 6), (112, 9, 6), (56, 9, 10), (56, 9, 10)], Cause.DEPTH, 2),
    ],
)
def test_one_change_is_blamed_on_nothing_else(
    edited: list[tuple[int, int, int]], cause: Cause, factor: float
) -> None:
    split = macs(chain("a", (112, 9, 6), (56, 9, 10)), chain("b", *edited))
    assert split.causes == {cause: pytest.approx(factor)}


def test_the_classifier_is_one_cause() -> None:
    # 2 x 100 MACs of a convolution beside 300 that become 700: L = 400 / ln 1.8, 400 / L = ln 1.8.
    first, second = chain("a", (10, 1, 1), classifier=300), chain("b", (10, 1, 1), classifier=700)
    assert macs(first, second).causes == {Cause.CLASSIFIER: pytest.approx(900 / 500)}


def test_scales_without_a_partner() -> None:
    """By resolution: finer than all of the other's is resolution, else depth; both ways."""
    fine, coarse = chain("fine", (224, 9, 1), (56, 9, 16)), chain("coarse", (56, 9, 16), (14, 9, 256))
    there, back = (macs(a, b, Alignment.RESOLUTION) for a, b in ((coarse, fine), (fine, coarse)))
    # Each layer has 2 x 9 x 50,176 MACs, so that the ratio is 1 and ln 1 is halves added and taken away.
    half = {Cause.RESOLUTION: exp(1 / 2), Cause.DEPTH: exp(-1 / 2)}
    assert there.causes == pytest.approx(half)
    assert back.causes == pytest.approx({cause: 1 / factor for cause, factor in half.items()})
    assert there.stages == pytest.approx({"full": exp(1 / 2), "1/16": exp(-1 / 2)})


def test_kinds_of_layers_without_macs_that_only_one_has() -> None:
    conv = layer("conv", "stage1", extent=224, macs=100, nbytes=1000)
    norm = layer("norm", "stage1", op="BatchNorm2d", extent=224, nbytes=1000)
    bare, normed = (profile_of(table(n, rows, [224])) for n, rows in (("a", [conv]), ("b", [conv, norm])))
    for alignment in Alignment:
        made = splits(bare, normed, alignment)[1]
        assert made.quantity is Quantity.OUTPUT_BYTES
        assert made.causes == {Cause.OTHER_LAYERS: pytest.approx(2)}


def test_a_layer_that_writes_in_place_has_no_bytes_for_each_number() -> None:
    conv = layer("conv", "stage1", extent=224, macs=100, nbytes=1000)
    relus = [layer("relu", "stage1", op="ReLU", extent=224, nbytes=nbytes) for nbytes in (0, 1000)]
    first, second = (profile_of(table(r.name, [conv, r], [224])) for r in relus)
    assert splits(first, second, Alignment.ORDER)[1].causes == {Cause.ITEM_BYTES: pytest.approx(2)}


def test_pooling_indices_are_one_cause_wherever_they_are() -> None:
    def pooling(*indices: int) -> Profile:
        """Return layers that save 1000, 100 and 50 bytes, the last two of them these indices besides."""
        rows = [
            layer("conv", "stage1", extent=224, nbytes=1000),
            layer("pool", "stage1", op="MaxPool2d", extent=224, nbytes=100 + indices[0]),
            layer("head", "classifier", op="MaxPool1d", nbytes=50 + indices[1]),
        ]
        found = profile_of(table("a", rows, [224]))
        return replace(found, index_bytes=dict(zip(("pool", "head"), indices, strict=True)))

    saved = splits(pooling(200, 150), pooling(400, 300), Alignment.ORDER)[2]
    assert saved.quantity is Quantity.SAVED_BYTES
    assert saved.causes == {Cause.POOLING_INDICES: pytest.approx(1850 / 1500)}
    assert set(saved.stages) == {"full", "classifier"}


def test_layers_that_both_have_make_no_difference() -> None:
    """b is a and two layers more: all is depth, where those are, however wide the others are."""
    first = chain("a", (224, 9, 3), (112, 9, 64))
    second = chain("b", (224, 9, 3), (224, 9, 64), (112, 9, 64), (112, 9, 128))
    for alignment in Alignment:
        split = macs(first, second, alignment)
        assert split.causes == {Cause.DEPTH: pytest.approx((3 * 4 + 64 * 4 + 64 + 128) / (3 * 4 + 64))}
        parts = {part.stage: part.value for part in split.parts}
        assert parts["full"] / parts["1/2"] == pytest.approx(64 * 4 / 128)


def test_as_many_of_each_as_both_have() -> None:
    first, second = chain("a", *[(56, 9, 5)] * 3), chain("b", *[(56, 9, 5)] * 2, (56, 9, 20))
    assert macs(first, second).causes == {Cause.WIDTH: pytest.approx(30 / 15)}


def test_chains_at_the_same_scales_are_aligned_by_resolution() -> None:
    first, second = chain("a", (224, 9, 1), (56, 9, 1)), chain("b", (224, 9, 7), (56, 9, 1), (56, 9, 2))
    other = chain("c", (112, 9, 1), (56, 9, 1))
    assert alignment_of(first, second) is alignment_of(second, first) is Alignment.RESOLUTION
    assert alignment_of(first, other) is alignment_of(other, first) is Alignment.ORDER


def test_branches_are_aligned_by_resolution() -> None:
    plain = chain("plain", (112, 9, 1))
    join = layer("add", "stage1", op="Add", extent=224, inputs=2)
    branched = profile_of(table("branched", [layer("conv", "stage1", extent=224, macs=9), join], [224]))
    assert alignment_of(plain, branched) is alignment_of(branched, plain) is Alignment.RESOLUTION


convolutions = st.lists(
    st.tuples(st.sampled_from((224, 112, 56, 28, 14, 7)), st.sampled_from((1, 9, 25)), st.integers(1, 10**6)),
    min_size=1,
    max_size=12,
).map(lambda found: sorted(found, reverse=True))


@given(convolutions, convolutions, st.sampled_from(Alignment), st.integers(0, 10**9))
def test_terms_hold_all_that_there_is(
    ours: list[tuple[int, int, int]], theirs: list[tuple[int, int, int]], alignment: Alignment, head: int
) -> None:
    first, second = chain("a", *ours), chain("b", *theirs, classifier=head)
    terms = list(partnered(list(mac_amounts(first)), list(mac_amounts(second)), alignment))
    assert sum(term.first for term in terms) == pytest.approx(first.table.totals.macs, rel=1e-12)
    assert sum(term.second for term in terms) == pytest.approx(second.table.totals.macs - head, rel=1e-12)
    split = macs(first, second, alignment)
    assert split.ratio is not None
    assert sum(part.value for part in split.parts) == pytest.approx(log(split.ratio), abs=1e-9)
