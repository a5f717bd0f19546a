"""What is said of two networks made by hand, and when it is not said."""

import re
from dataclasses import replace

import pytest
from hand_profiles import layer, profile_of, table

from vggprof.analyzers import LayerRow
from vggprof.compare import Cause, Finding, Profile, compare
from vggprof.compare.findings import GROUPS
from vggprof.compare.peak import PeakShare
from vggprof.compare.times import Times
from vggprof.trace import Kind, Mode, Setup


def net(name: str, rows: list[LayerRow]) -> Profile:
    """Return a network whose stages are at 224 x 224 and 56 x 56."""
    return profile_of(table(name, rows, [224, 56]))


def early(macs: int, *, params: int = 0, nbytes: int = 0) -> LayerRow:
    return layer("early", "stage1", extent=224, macs=macs, params=params, nbytes=nbytes)


def late(macs: int, *, params: int = 0, nbytes: int = 0) -> LayerRow:
    return layer("late", "stage2", extent=56, macs=macs, params=params, nbytes=nbytes)


def said(first: Profile, second: Profile) -> dict[str, Finding]:
    (against,) = compare([first, second]).against
    return {finding.id: finding for finding in against.findings}


def holding(profile: Profile, **nbytes: int) -> Profile:
    """Return *profile* with these bytes of each cause at its peak, all of them the late layer's."""
    shares = tuple(PeakShare("late", Cause(cause), held) for cause, held in nbytes.items())
    peak = replace(profile.memory.peak, allocated_bytes=sum(nbytes.values()))
    return replace(profile, shares=shares, memory=replace(profile.memory, peak=peak))


def test_where_the_work_is() -> None:
    found = said(net("a", [early(10), late(100)]), net("b", [early(40), late(170)]))["macs_where"]
    # 30 and 70 of 100 more.
    assert found.value == 0.7
    assert found.text == (
        "b does 100 MACs more than a: 70 MACs more at 1/4 of the input's resolution, 70.0% of it."
    )


def test_work_that_grows_in_one_place_and_shrinks_in_another() -> None:
    found = said(net("a", [early(100), late(100)]), net("b", [early(40), late(110)]))["macs_where"]
    # 60 less and 10 more are 50 less.
    assert found.value == 1.2
    assert found.text == (
        "b does 50 MACs less than a: 60 MACs less at the input's full resolution and 10 MACs more elsewhere."
    )


def test_what_the_peaks_differ_in() -> None:
    first, second = (net(name, [late(1)]) for name in "ab")
    had, has = {"parameters": 1024, "slack": 0}, {"parameters": 3 * 1024, "slack": 2 * 1024}
    grown = said(holding(first, **had), holding(second, **has))["peak_cause"]
    assert grown.value == 0.5
    assert grown.text == (
        "At its peak b holds 4.00 KiB more than a: 2.00 KiB more of state that no batch changes "
        "(weights, gradients, optimizer), 50.0% of it."
    )
    moved = said(
        holding(first, temporaries=512, input=0), holding(second, temporaries=2560, input=0, gradients=512)
    )
    assert moved["peak_cause"].value == 0.8
    traded = said(holding(first, workspaces=3072, slack=0), holding(second, workspaces=0, slack=1024))
    assert traded["peak_cause"].text == (
        "At its peak b holds 2.00 KiB less than a: 3.00 KiB less of workspaces and 1.00 KiB more of all else."
    )


def test_all_that_is_held_is_in_one_group() -> None:
    grouped = [cause for causes in GROUPS.values() for cause in causes]
    kinds = {Cause(kind.value) for kind in Kind if kind is not Kind.ACTIVATION}
    activations = {Cause.SAVED_ACTIVATIONS, Cause.PASSING_ACTIVATIONS, Cause.POOLING_INDICES}
    assert set(grouped) == kinds | activations | {Cause.WORKSPACES, Cause.SLACK, Cause.FRAGMENTATION}
    assert len(set(grouped)) == len(grouped)


def test_where_the_activations_are() -> None:
    rows = [early(1, nbytes=3 * 1024), late(1, nbytes=1024)]
    found = said(net("a", rows), net("b", rows))["activations_where"]
    assert found.value == 0.75
    assert (
        found.text
        == "75.0% of what b saves for backward is at the input's full resolution: 3.00 KiB of 4.00 KiB."
    )
    # Exactly half is not most of it.
    rows = [early(1, nbytes=1024), late(1, nbytes=1024)]
    assert said(net("a", rows), net("b", rows))["activations_where"].value == 1


def test_inference_makes_outputs_and_saves_nothing() -> None:
    rows = [early(1, nbytes=1024), replace(late(1, nbytes=3 * 1024), saved_bytes=0)]
    nets = (net("a", rows), net("b", rows))
    infer = Setup(batch=2, mode=Mode.INFER)
    found = said(*(replace(each, table=replace(each.table, setup=infer)) for each in nets))
    assert found["activations_where"].text == (
        "75.0% of what b makes as outputs is at 1/4 of the input's resolution: 3.00 KiB of 4.00 KiB."
    )
    assert said(*nets)["activations_where"].text.endswith("full resolution: 1.00 KiB of 1.00 KiB.")


def test_one_layer_with_most_of_the_parameters() -> None:
    first = net("a", [early(1, params=3), late(1, params=3)])
    most = said(first, net("b", [early(1, params=3), late(1, params=9)]))["params_where"]
    assert (most.value, most.text) == (0.75, "late alone holds 75.0% of the parameters of b: 9.")
    assert "params_where" not in said(first, net("b", [early(1, params=9), late(1, params=9)]))


def test_what_reads_the_same_is_said_once() -> None:
    rows = [late(7, params=5)]
    found = said(net("a", rows), net("b", rows))
    assert found["macs_ratio"].text == "b does 1.00 x the MACs of a in a forward pass: 7."
    assert found["params_ratio"].text == "b has 1.00 x the parameters of a: 5."
    assert found["peak_ratio"].text == "At its peak b holds 1.00 x the memory of a: 512 B."


def test_causes_that_cancel_are_not_told() -> None:
    # Half the width at twice the positions, as near as makes no difference.
    first, second = net("a", [layer("x", "stage1", extent=56, macs=1000)]), net("b", [early(1003)])
    assert "macs_causes" not in said(first, second)
    found = said(first, net("b", [early(1030)]))["macs_causes"]
    assert found.claim == "resolution raises the MACs most"
    assert found.value == pytest.approx(16)
    found = said(first, net("b", [early(970)]))["macs_causes"]
    assert found.claim == "width lowers the MACs most"


def beliefs_of(params: tuple[int, int], macs: tuple[int, int]) -> Finding:
    """Return the belief in parameters where two layers go from 100 parameters and 100 MACs each to these."""
    first = [early(100, params=100), late(100, params=100)]
    second = [early(macs[0], params=params[0]), late(macs[1], params=params[1])]
    return said(net("a", first), net("b", second))["belief_parameters"]


def test_parameters_make_it_slower_where_both_grow_together() -> None:
    found = beliefs_of((100, 300), (100, 300))
    assert found.holds
    assert found.value == 1  # all of both at one scale, and as much more of both
    assert found.text == (
        "Parameters are 2.00 x, MACs 2.00 x. Of the difference in parameters 100.0% is at 1/4 of the "
        "input's resolution, and of that in MACs 100.0%."
    )


def test_parameters_elsewhere_do_not_make_it_slower() -> None:
    found = beliefs_of((100, 300), (250, 150))
    assert (found.holds, found.value) == (False, 0.25)


def test_hardly_more_parameters_do_not_make_it_much_slower() -> None:
    """Where both grow at one scale, but one by 1 % and the other by half: ln 1.01 / ln 1.5 = 0.0245."""
    found = beliefs_of((100, 102), (100, 200))
    assert not found.holds
    assert found.value == pytest.approx(0.0245, abs=5e-5)


def test_fewer_parameters_do_not_make_it_slower() -> None:
    found = beliefs_of((100, 20), (100, 300))
    assert not found.holds
    assert found.value < 0


def test_shares_of_a_difference_are_told_as_people_know_them() -> None:
    found = beliefs_of((50, 300), (300, 50))
    # Of 150 parameters more 200 are late; of 150 MACs more 50 less are.
    assert found.text.endswith(
        "Of the difference in parameters more than all is at 1/4 of the input's resolution, and of that in "
        "MACs nothing."
    )


def test_what_hardly_differs_asks_for_no_reason() -> None:
    first = net("a", [early(100, params=100), late(100, params=100)])
    for macs, asked in ((108, False), (112, True)):
        found = said(first, net("b", [early(macs, params=900), late(100, params=100)]))
        assert ("belief_parameters" in found) == asked
    rows = [early(50), layer("more", "stage1", extent=224, macs=50), late(100)]
    assert "belief_depth" not in said(first, net("b", rows))


def test_the_number_of_layers() -> None:
    first, second = net("a", [late(100)]), net("b", [late(100), layer("x", "stage2", extent=56, macs=100)])
    found = said(first, second)["belief_depth"]
    assert found.holds
    assert found.value == pytest.approx(1)
    assert found.text == (
        "2 layers with MACs against 1 make the MACs 2.00 x; all causes together make them 2.00 x. "
        "Of all that causes multiply or divide by, in logarithms, that is 100.0%."
    )
    thin = net("b", [late(20), layer("x", "stage2", extent=56, macs=20)])
    found = said(first, thin)["belief_depth"]
    assert not found.holds
    assert found.text == (
        "2 layers with MACs against 1 make the MACs 2.00 x; all causes together make them 0.40 x. "
        "Of all that causes multiply or divide by, in logarithms, that is 0.0%."
    )
    assert "belief_depth" not in said(first, net("b", [late(200)]))


def test_pooling_by_what_it_moves_or_by_its_time() -> None:
    rows = [late(100, nbytes=40), layer("pool", "stage2", op="MaxPool2d", extent=56, nbytes=60)]
    first, second = net("a", rows), holding(net("b", rows), input=512)
    pool = PeakShare("pool", Cause.SAVED_ACTIVATIONS, 512)
    second = replace(second, shares=(*second.shares, pool))
    moved = said(first, second)["belief_pooling"]
    assert (moved.holds, moved.value) == (True, 0.6)
    assert moved.text == (
        "Pooling does none of the MACs of b, moves 60.0% of the bytes of its forward pass, and holds 50.0% "
        "of the peak."
    )
    times = Times(10, {"late": 6, "pool": 1}, "a stopwatch")
    taken = said(replace(first, times=times), replace(second, times=times))["belief_pooling"]
    assert (taken.holds, taken.value) == (False, 0.1)
    assert taken.text.endswith("50.0% of the peak; it takes 10.0% of the time of a step.")
    works = [replace(rows[1], op="AttentionPool", macs=5), late(100)]
    assert "belief_pooling" not in said(first, net("b", works))


def test_the_classifier_and_memory() -> None:
    rows = [late(100), layer("fc", "classifier", op="Linear", macs=5)]
    first, second = net("a", rows), net("b", rows)
    half = (PeakShare("late", Cause.PARAMETERS, 512), PeakShare("fc", Cause.GRADIENTS, 512))
    found = said(first, replace(second, shares=half))["belief_classifier_memory"]
    assert (found.holds, found.value) == (True, 0.5)
    assert found.text == "The classifier of b holds 50.0% of its peak at batch 2."
    assert "belief_classifier_memory" not in said(first, replace(second, shares=half[:1]))


def test_what_is_not_there_is_not_spoken_of() -> None:
    idle = net("idle", [layer("x", "stage1", extent=224)])
    assert {*said(idle, idle)} == {"peak_ratio"}
    assert not re.search("params|time|batch", " ".join(said(net("a", [late(1)]), net("b", [late(2)]))))
