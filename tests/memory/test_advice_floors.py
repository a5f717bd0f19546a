"""Bounds that rule out advice hold: a changed training takes no less than the trace of another one says."""

from dataclasses import replace

import pytest

from vggprof.api import trace_arch
from vggprof.memory.advice.floors import Floors
from vggprof.trace import (
    Amp,
    Born,
    Freed,
    Kind,
    Layer,
    Mark,
    Operand,
    Operator,
    Phase,
    Ran,
    Setup,
    Storage,
    Trace,
)

NETS = ["alexnet@classes=10", "vgg11_bn@classes=10,input=3x64x64"]
SETUPS = [Setup(batch=16), Setup(batch=16, amp=Amp.BF16), Setup(batch=16, freeze="backbone")]


@pytest.mark.parametrize("arch", NETS)
@pytest.mark.parametrize("setup", SETUPS, ids=["plain", "amp", "frozen"])
def test_no_change_takes_less_than_its_bound(arch: str, setup: Setup) -> None:
    floors = Floors(trace_arch(arch, setup))
    assert floors.least_bytes() == Floors(trace_arch(arch, setup)).live_bytes
    for pieces in (1, 4):
        for stages in (None, "stage1", "stages"):
            for in_place in (False, True):
                changed = replace(
                    setup, batch=16 // pieces, accumulate=min(pieces, 2), checkpoint=stages, inplace=in_place
                )
                least = floors.least_bytes(
                    pieces=pieces, in_place=in_place, checkpointed=changed.checkpointed
                )
                assert 0 < least <= Floors(trace_arch(arch, changed)).live_bytes


def test_bound_is_what_is_taken_where_nothing_changes_but_the_batch() -> None:
    """VGG-11's pieces: all that stays, and of the rest its share."""
    setup = Setup(batch=16)
    floors = Floors(trace_arch("vgg11", setup))
    taken = Floors(trace_arch("vgg11", replace(setup, batch=4, accumulate=2))).live_bytes
    assert 0.98 * taken <= floors.least_bytes(pieces=4) <= taken


def test_by_hand() -> None:
    """A parameter of 512 bytes stays. An operator makes 2,048 of 2,048, and both are there at once.

    In place they are one: 512 + 2,048. In two pieces, each of half of what comes and goes: 512 + 2,048, and
    in place too 512 + 1,024.
    """
    one, other = (Operand("x", number, (512,), (1,), "float32") for number in (1, 2))
    made = [Operator("aten.relu.default", step, Phase.FORWARD, 0, (one,), (other,), ()) for step in range(2)]
    sizes = ((512, Kind.PARAMETER), (2048, Kind.ACTIVATION), (2048, Kind.ACTIVATION))
    step = (Born(1), Ran(0), Born(2), Freed(1), Freed(2))
    trace = Trace(
        arch="net",
        setup=Setup(batch=2),
        torch_version="2.15.0",
        layers=(Layer("relu", "relu", "ReLU", ((2, 256, 1, 1),), (2, 256, 1, 1), training=True),),
        parameters=(),
        storages=tuple(Storage(size, kind, None, None) for size, kind in sizes),
        operators=tuple(made),
        events=(Born(0), *step, Mark(0, Phase.OPTIMIZER), *step, Mark(1, Phase.OPTIMIZER)),
    )
    floors = Floors(trace)
    assert floors.live_bytes == 512 + 4096
    assert floors.least_bytes(in_place=True) == 512 + 2048
    assert floors.least_bytes(pieces=2) == 512 + 2048
    assert floors.least_bytes(pieces=2, in_place=True) == 512 + 1024
