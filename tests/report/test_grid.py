"""Every point of a grid is what `vggprof memory` says of it."""

import random
from itertools import product

import pytest
from reports_made import nobody_to_ask, pinned, predicted

from vggprof import api, views
from vggprof.report import Report
from vggprof.report.grid import BATCHES, OPTIMIZERS, setups
from vggprof.target import Target
from vggprof.trace import Mode, Optimizer, Setup

SETUP = Setup(batch=32)
CARDS = ("GeForce RTX 3060 12GB", "GeForce GTX 1650")


@pytest.fixture(scope="module")
def report() -> Report:
    return api.report(["alexnet"], SETUP, pinned(CARDS[0]), gpus=CARDS[1:], optimizers=["sgd"])


def test_the_grid_is_whole(report: Report) -> None:
    (study,) = report.studies
    assert tuple(card.device.name for card in report.choices) == CARDS[::-1]  # smaller ones first
    assert [setup.optimizer for setup in report.setups] == [Optimizer.SGD, Optimizer.MOMENTUM]
    assert {(each.card, each.setup) for each in study.slices} == set(product(report.choices, report.setups))
    assert all(tuple(point.batch for point in each.points) == BATCHES for each in study.slices)
    assert len({point.status for each in study.slices for point in each.points}) > 1


def test_points_are_what_memory_says(report: Report) -> None:
    (study,) = report.studies
    every = [(each, point) for each in study.slices for point in each.points]
    for each, point in random.Random(7).sample(every, 8):
        setup = Setup(batch=point.batch, optimizer=each.setup.optimizer)
        said, largest = predicted("alexnet", setup, pinned(each.card.device.name))
        sizes = (said.peak_allocated, said.peak_reserved, said.process)
        assert (point.allocated, point.reserved, point.process) == sizes
        assert (point.status, point.failure) == (said.status, said.failure)
        assert point.largest_batch == largest


def test_commands_name_what_decides_the_answer(report: Report) -> None:
    first, *others = report.commands
    where = "--batch 32 --gpu 'GeForce RTX 3060 12GB' --torch 2.15 --cudnn 9.26.0.51"
    assert first == f"vggprof report alexnet {where} --beside 'GeForce GTX 1650' --optimizers sgd -o ."
    assert others == [
        f"vggprof memory alexnet {where}",
        f"vggprof latency alexnet {where}",
        "vggprof layers alexnet --batch 32",
    ]


def test_a_size_stands_for_the_card_with_so_much_memory() -> None:
    trace = api.trace_arch("lenet5", SETUP)
    with nobody_to_ask():
        report = api.report([trace], None, Target(gpu=CARDS[0]), gpus=["2GiB", CARDS[1], CARDS[0]])
    named = [card.device.name for card in report.choices]
    assert named == [f"{CARDS[0]} with 2.00 GiB", CARDS[1], CARDS[0]]


def test_inference_has_no_optimizer_to_choose() -> None:
    setup = Setup(batch=4, mode=Mode.INFER)
    assert setups(setup) == (setup,)


def test_an_optimizer_of_ones_own_is_among_the_choices() -> None:
    found = [setup.optimizer for setup in setups(Setup(optimizer=Optimizer.RMSPROP))]
    assert found == [*OPTIMIZERS, Optimizer.RMSPROP]


def test_a_trace_has_only_its_own_batch() -> None:
    trace = api.trace_arch("lenet5", Setup(batch=4))
    with nobody_to_ask():
        report = api.report([trace], None, Target(gpu_memory="1GiB"))
    (study,) = report.studies
    assert [[point.batch for point in each.points] for each in study.slices] == [[4]] * len(report.choices)
    assert all(each.largest_batch is None for each in study.slices)
    assert report.commands == ()


def test_beside_a_trace_another_network_has_its_batch_alone_too() -> None:
    trace = api.trace_arch("lenet5", Setup(batch=4))
    with nobody_to_ask():
        report = api.report([trace, "lenet5@classes=5"], Setup(batch=4), Target(gpu_memory="1GiB"))
    assert [[point.batch for point in each.points] for study in report.studies for each in study.slices] == [
        [4]
    ] * 2 * len(report.choices)
    assert "lenet5@classes=5" in views.report_files(report)["report.html"]
