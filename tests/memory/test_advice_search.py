"""Which changes there are, what they cost against each other, and that the cheapest that fits is found."""

from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.api import trace_arch
from vggprof.memory.advice.changes import (
    Autocast,
    BenchmarkOff,
    Case,
    Change,
    ChannelsLast,
    Checkpoint,
    DeterministicOff,
    Expandable,
    FreezeBackbone,
    InPlace,
    Lighter,
    MaxSplit,
    Pieces,
    Price,
    SetToNone,
    changed,
    cost,
    price,
)
from vggprof.memory.advice.greedy import combined
from vggprof.memory.advice.meter import Meter
from vggprof.memory.advice.search import MAX_TRACED, Found, cheapest
from vggprof.memory.advice.space import MAX_PIECES, Space, space_of
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Setup, ZeroGrad
from vggprof.units import MIB

AMPERE, TURING = (8, 6), (7, 5)
FREE = (InPlace(), SetToNone(), Expandable(), MaxSplit(128))
CHEAP = (BenchmarkOff(), DeterministicOff(), ChannelsLast(), Pieces(2), Autocast(Amp.BF16))
LEARNING = (Lighter(Optimizer.SGD), FreezeBackbone())


def case(setup: Setup, **settings: bool) -> Case:
    return Case(setup, CudnnSettings(**settings), AllocatorConfig())


def space(setup: Setup, capability: tuple[int, int] = AMPERE, arch: str = "lenet5") -> Space:
    return space_of(case(setup), trace_arch(arch, setup), capability, retraced=True)


def test_every_kind_has_its_price() -> None:
    assert {price(change) for change in FREE} == {Price.FREE}
    assert {price(change) for change in CHEAP} == {Price.CHEAP}
    assert price(Checkpoint(("stage1",), 1)) is Price.MACS
    assert {price(change) for change in LEARNING} == {Price.LEARNING}


@pytest.mark.parametrize(
    ("cheaper", "dearer"),
    [
        (FREE[:3], CHEAP[:1]),  # any number of free changes before one that is not
        (CHEAP, (Checkpoint(("stage1",), 1),)),
        ((Checkpoint(("stages",), 10**15), *CHEAP), LEARNING[:1]),
        ((Checkpoint(("stage1",), 5), *CHEAP), (Checkpoint(("stage2",), 6),)),  # by MACs, whatever else
        ((Pieces(2),), (Pieces(4),)),
        ((Pieces(2),), (ChannelsLast(), Autocast(Amp.BF16))),
        ((ChannelsLast(), Autocast(Amp.BF16)), (Pieces(4),)),  # four pieces are two changes
        ((Pieces(4),), (Pieces(2), ChannelsLast(), Autocast(Amp.BF16))),
        ((ChannelsLast(), Autocast(Amp.BF16), BenchmarkOff()), (Pieces(16),)),
        ((Pieces(16),), (Pieces(5), ChannelsLast(), Autocast(Amp.BF16))),  # 4 < 3 + 2
        ((ChannelsLast(),), (ChannelsLast(), InPlace())),
        ((), (InPlace(),)),
    ],
)
def test_cost_is_ordered_as_documented(cheaper: tuple[Change, ...], dearer: tuple[Change, ...]) -> None:
    assert cost(cheaper) < cost(dearer)


def test_changes_change_what_they_say() -> None:
    before = case(Setup(batch=12, accumulate=2, zero_grad=ZeroGrad.ZERO), benchmark=True, deterministic=True)
    after = changed(before, (*FREE, *CHEAP, Checkpoint(("stage1", "stage2"), 0), *LEARNING))
    assert after.setup == Setup(
        batch=6,
        accumulate=4,  # as many images a step
        optimizer=Optimizer.SGD,
        amp=Amp.BF16,
        layout=Layout.CHANNELS_LAST,
        inplace=True,
        freeze="backbone",
        checkpoint="stage1,stage2",
    )
    assert after.settings == CudnnSettings()
    assert after.allocator == AllocatorConfig(expandable_segments=True, max_split_bytes=128 * MIB)


def test_pieces_of_an_inference_are_batches() -> None:
    after = changed(case(Setup(batch=12, mode=Mode.INFER)), (Pieces(3),))
    assert after.setup == Setup(batch=4, mode=Mode.INFER)


def test_space_holds_what_can_be_changed() -> None:
    changes = space(Setup(batch=12, optimizer=Optimizer.ADAM)).singles
    assert {Pieces(2), Pieces(3), Pieces(4), Pieces(6), Pieces(12)} < set(changes)
    assert {Autocast(Amp.BF16), ChannelsLast(), InPlace(), Expandable(), FreezeBackbone()} < set(changes)
    assert {Lighter(Optimizer.MOMENTUM), Lighter(Optimizer.SGD)} < set(changes)
    assert not {SetToNone(), BenchmarkOff(), DeterministicOff(), Pieces(5)} & set(changes)


def test_space_leaves_out_what_is_so_already() -> None:
    setup = Setup(amp=Amp.FP16, layout=Layout.CHANNELS_LAST, optimizer=Optimizer.SGD, zero_grad=ZeroGrad.ZERO)
    changes = space(setup).singles
    kinds = {type(change) for change in changes}
    assert SetToNone in kinds
    assert not kinds & {Autocast, ChannelsLast, Lighter, Pieces}


def test_half_precision_is_what_the_gpu_has() -> None:
    assert Autocast(Amp.FP16) in space(Setup(), TURING).singles
    assert Autocast(Amp.BF16) not in space(Setup(), TURING).singles
    half = Setup(mode=Mode.INFER, dtype=Dtype.FP16)
    assert not any(isinstance(change, Autocast) for change in space(half).singles)


def test_without_other_traces_only_settings_change() -> None:
    asked = case(Setup(), benchmark=True, deterministic=True)
    found = space_of(asked, trace_arch("lenet5"), AMPERE, retraced=False)
    kinds = {type(change) for change in found.singles}
    assert kinds == {Expandable, MaxSplit, BenchmarkOff, DeterministicOff}


def test_pieces_tell_of_batch_norm_and_are_not_too_many() -> None:
    pieces = [
        change for change in space(Setup(batch=64), arch="vgg11_bn").singles if isinstance(change, Pieces)
    ]
    assert [piece.count for piece in pieces] == [2, 4, 8, MAX_PIECES]
    assert all(piece.batch_norm for piece in pieces)
    assert Pieces(2, batch_norm=False) in space(Setup(batch=2)).singles


def test_stages_cost_their_forward_macs() -> None:
    """VGG-11 without its classifier: 7,485,456,384 MACs of convolutions an image.

    64 x 3 x 9 x 224^2 = 86,704,128; 128 x 64 x 9 x 112^2 = 924,844,032; (256 x 128 + 256 x 256) x 9 x 56^2 =
    2,774,532,096; (512 x 256 + 512 x 512) x 9 x 28^2 = 2,774,532,096; 2 x 512 x 512 x 9 x 14^2 = 924,844,032.
    """
    found = [change for change in space(Setup(), arch="vgg11").singles if isinstance(change, Checkpoint)]
    assert {change.text: change.macs for change in found} == {
        "stage1": 86_704_128,
        "stage2": 924_844_032,
        "stage3": 2_774_532_096,
        "stage4": 2_774_532_096,
        "stage5": 924_844_032,
        "stages": 7_485_456_384,
    }


def test_combinations_are_all_there_are_and_in_order() -> None:
    found = list(space(Setup(batch=4, optimizer=Optimizer.ADAM)).combinations())
    axes = space(Setup(batch=4, optimizer=Optimizer.ADAM)).axes
    sizes = [len(axis) + 1 for axis in axes]
    product = 1
    for size in sizes:
        product *= size
    assert len(found) == len(set(found)) == product - 1
    assert all(cost(one) <= cost(other) for one, other in pairwise(found))


class Told:
    """A meter that is told which setups fit."""

    def __init__(self, fitting: set[Case], *, traced_a_try: int = 0) -> None:
        self.traced = 0
        self.tried: list[Case] = []
        self._fitting = fitting
        self._step = traced_a_try

    def fits(self, asked: Case) -> bool:
        self.traced += self._step
        self.tried.append(asked)
        return asked in self._fitting


def search(asked: Case, found: Space, told: Told) -> Found:
    return cheapest(asked, found, cast("Meter", told))


AXES = (
    (Expandable(), MaxSplit(128)),
    (InPlace(),),
    (Pieces(2), Pieces(4)),
    (Checkpoint(("stages",), 7),),
    LEARNING[:1],
)
SMALL = Space(AXES)
ALL = tuple(SMALL.combinations())


@given(st.sets(st.sampled_from(ALL)))
def test_no_combination_that_fits_is_cheaper_than_the_one_found(fitting: set[tuple[Change, ...]]) -> None:
    asked = case(Setup(batch=4))
    found = search(asked, SMALL, Told({changed(asked, changes) for changes in fitting}))
    assert found.complete
    if fitting:
        assert found.changes in fitting
        assert cost(found.changes) == min(map(cost, fitting))
    else:
        assert found == Found((), len(ALL), complete=True)


def test_search_gives_up_after_as_many_traces_and_says_so() -> None:
    told = Told(set(), traced_a_try=1)
    found = search(case(Setup(batch=4)), SMALL, told)
    assert found == Found((), MAX_TRACED, complete=False)
    assert len(told.tried) == MAX_TRACED < len(ALL)


class Sums:
    """A meter of trainings of 100 that every change makes smaller by its own amount; up to *room* fits."""

    SAVES = (
        (lambda case: case.allocator.expandable_segments, 5),
        (lambda case: case.setup.layout is Layout.CHANNELS_LAST, -3),
        (lambda case: case.setup.amp is not Amp.OFF, 20),
        (lambda case: case.setup.optimizer is Optimizer.SGD, 30),
    )

    def __init__(self, room: int) -> None:
        self.asked: list[Case] = []
        self.room_bytes = room

    def need_bytes(self, asked: Case) -> int:
        by_pieces = {16: 0, 8: 10, 4: 15}[asked.setup.batch]  # off a batch of 16
        return 100 - by_pieces - sum(saves for has, saves in self.SAVES if has(asked))

    def least_bytes(self, asked: Setup) -> int:
        return 0

    def seems_to_fit(self, asked: Case) -> bool:
        self.asked.append(asked)
        return self.need_bytes(asked) <= self.room_bytes

    def fits(self, asked: Case) -> bool:
        return self.need_bytes(asked) <= self.room_bytes


SUMMED = Space(
    ((Expandable(),), (ChannelsLast(),), (Pieces(2), Pieces(4)), (Autocast(Amp.BF16),), LEARNING[:1])
)


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (80, {Autocast(Amp.BF16)}),
        (70, {Autocast(Amp.BF16), Pieces(2)}),  # four pieces were taken and two are enough
        (65, {Autocast(Amp.BF16), Pieces(4)}),
        (60, {Autocast(Amp.BF16), Pieces(4), Expandable()}),
        (40, {Lighter(Optimizer.SGD), Autocast(Amp.BF16), Pieces(2)}),  # 20 + 15 + 5 are not enough
        (30, {Lighter(Optimizer.SGD), Autocast(Amp.BF16), Pieces(4), Expandable()}),
        (29, set()),
    ],
)
def test_what_saves_most_is_combined_until_it_fits(room: int, expected: set[Change]) -> None:
    meter = Sums(room)
    assert set(combined(case(Setup(batch=16)), SUMMED, cast("Meter", meter))) == expected
    assert len(meter.asked) < len(list(SUMMED.combinations()))
