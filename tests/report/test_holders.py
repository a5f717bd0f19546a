"""Who filled a card before the first step, held against the allocator itself."""

from dataclasses import replace

import pytest

from vggprof import api
from vggprof.devices import custom_device
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.run import End, run
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.targets import Choice
from vggprof.report import Filled, who_filled
from vggprof.trace import Kind, Optimizer, Setup
from vggprof.trace.traces import Traces
from vggprof.units import GIB, MIB
from vggprof.views.document import Notes, Table
from vggprof.views.holders import holders

SOFTWARE = Software((2, 15), (13, 0), Choice(None, None), CudnnSettings(), AllocatorConfig(torch=(2, 15)))
SETUP = Setup(batch=4, optimizer=Optimizer.MOMENTUM)
PARAMS = 61_100_840  # of AlexNet
# AlexNet's large weights need segments of their own: see the first mark of any prediction of it.


@pytest.fixture(scope="module")
def forecast() -> Forecast:
    return Forecast(Traces(lambda batch: api.trace_arch("alexnet", replace(SETUP, batch=batch))), SOFTWARE)


def test_what_it_holds_is_model_state_and_batch(forecast: Forecast) -> None:
    filled = who_filled(forecast, 4, Card(custom_device(4 * GIB)))
    trace = forecast.traces(4)
    state = sum(each.nbytes for each in trace.storages if each.kind is Kind.OPTIMIZER)
    assert state == 4 * PARAMS
    batch = 4 * 3 * 224 * 224 * 4 + 4 * 8  # floats, and labels of 8 bytes
    model = filled.own_bytes - state - batch
    assert 4 * PARAMS <= model <= 4 * PARAMS + 22 * MIB  # segments are 2 MiB and 20 MiB wide
    assert who_filled(forecast, 4, Card(custom_device(4 * GIB)), copies=2).own_bytes == 2 * filled.own_bytes


def test_with_that_much_less_the_model_does_not_move_in(forecast: Forecast) -> None:
    card = Card(custom_device(4 * GIB))
    filled = who_filled(forecast, 4, card)
    prediction = forecast.predict(4, card)
    model = next(mark.reserved_bytes for mark in prediction.shown.marks)
    held = filled.left.high - model  # even at the most that can be left, nothing stays
    full = forecast.predict(4, replace(card, held_by_others_bytes=held + 1))
    assert full.failure is not None
    assert full.failure.place.step is None
    roomy = forecast.predict(4, replace(card, held_by_others_bytes=held))
    assert roomy.failure is not None
    assert roomy.failure.place.step == 0


def test_others_hold_what_is_left_or_nothing(forecast: Forecast) -> None:
    small, large = (who_filled(forecast, 4, Card(custom_device(size))) for size in (GIB // 2, 8 * GIB))
    assert small.others.likely == 0
    assert large.others.likely == large.left.likely - large.own_bytes
    assert large.others.low <= large.others.likely <= large.others.high


def test_a_small_card_gets_by_with_less_than_one_without_end(forecast: Forecast) -> None:
    card = Card(custom_device(GIB))
    filled = who_filled(forecast, 4, card)
    assert filled.least_bytes is not None
    assert filled.left.likely < filled.least_bytes <= filled.step_bytes
    line, answers, room = forecast.asked(4, card)
    machine = room.machine(End.LIKELY)
    assert run(line, answers, replace(machine, capacity_bytes=filled.least_bytes)).fits
    assert not run(line, answers, replace(machine, capacity_bytes=filled.least_bytes - 2 * MIB)).fits
    assert who_filled(forecast, 4, Card(custom_device(8 * GIB))).least_bytes is None


def test_the_conclusion_names_the_cards(forecast: Forecast) -> None:
    cards = [Card(custom_device(size)) for size in (GIB // 2, 8 * GIB)]
    filled = [who_filled(forecast, 4, card) for card in cards]
    said, table = holders("AlexNet", filled, "It failed.")
    assert isinstance(table, Table)
    assert isinstance(said, Notes)
    failed, own, fits, oom = said.items
    assert failed == "It failed."
    assert own.startswith("Its own need can have filled 512.00 MiB GPU; on the others")
    assert [row[-2:] for row in table.rows] == [(filled[0].least_bytes, "OOM"), (None, "FITS")]
    assert fits == "Alone, its steps fit 8.00 GiB GPU."
    assert oom == "Later, in a step, it would have run out of memory by itself on 512.00 MiB GPU."
    only: list[Filled] = filled[1:]
    said, _ = holders("AlexNet", only)
    assert isinstance(said, Notes)
    assert said.items[0].startswith("Its own need fills none of these before the first step")
