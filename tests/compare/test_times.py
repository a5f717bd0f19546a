"""The time of a step: who knows it, and what its ratio is made of."""

from dataclasses import replace
from math import log
from pathlib import Path

import pytest
from hand_profiles import SETUP, layer, profile_of, table

from vggprof import api, views
from vggprof.compare import Against, Cause, Profile, Quantity, Split, compare, timed
from vggprof.compare.times import Times, measured_times
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.measurement import (
    Conditions,
    Environment,
    LayerTime,
    Measurement,
    PhaseTime,
    Protocol,
    Samples,
    Status,
    Timing,
    write_measurements,
)
from vggprof.trace import Setup


def network(name: str, macs: int, *, head: int = 0, early: int = 0) -> Profile:
    """Return a convolution at 1/4, a classifier, and where wanted a convolution at full size."""
    rows = [layer("late", "stage2", extent=56, macs=macs), layer("fc", "classifier", op="Linear", macs=head)]
    rows = [layer("early", "stage1", extent=224, macs=early), *rows] if early else rows
    return profile_of(table(name, rows, [224, 56]))


def with_times(network: Profile, step_ms: float, **layer_ms: float) -> Profile:
    return replace(network, times=Times(step_ms, layer_ms, "a stopwatch"))


def against(first: Profile, second: Profile) -> Against:
    (found,) = compare([first, second]).against
    return found


def of_time(found: Against) -> Split:
    return next(split for split in found.splits if split.quantity is Quantity.STEP_MS)


def measurement(arch: str, step_ms: tuple[float, ...], setup: Setup = SETUP, **layers: float) -> Measurement:
    return Measurement(
        Conditions(arch, setup, "cuda"),
        Environment("a GPU", "2.15.0", "3.11", "Linux", "0.1.0", None),
        Status.OK,
        timing=Timing("cuda events", Samples(step_ms)),
        layers=tuple(LayerTime(name, ms / 4, 3 * ms / 4) for name, ms in layers.items()),
    )


def test_twice_the_work_done_half_as_fast() -> None:
    # 100 MACs in 2 ms become 200 in 8 ms: 4 x is 2 x of work and 2 x of time for each MAC.
    first, second = network("a", 100), network("b", 200)
    split = of_time(against(with_times(first, 2, late=2), with_times(second, 8, late=8)))
    assert split.causes == {Cause.MORE_WORK: pytest.approx(2), Cause.TIME_PER_MAC: pytest.approx(2)}
    assert split.stages == {"1/4": pytest.approx(4)}


def test_work_is_that_of_both_ways() -> None:
    """100 MACs forward in both, and 100 backward that become 300: twice the work, 4 times the time."""

    def backward(macs: int) -> Profile:
        row = layer("late", "stage1", extent=224, macs=100)
        return profile_of(table("a", [replace(row, macs_backward=macs)], [224]))

    split = of_time(against(with_times(backward(100), 2, late=2), with_times(backward(300), 8, late=8)))
    assert split.causes == {Cause.MORE_WORK: pytest.approx(2), Cause.TIME_PER_MAC: pytest.approx(2)}


def test_what_one_network_alone_does_is_more_work() -> None:
    first, second = network("a", 100), network("b", 100, early=10)
    split = of_time(against(with_times(first, 2, late=2), with_times(second, 6, late=2, early=4)))
    assert split.causes == {Cause.MORE_WORK: pytest.approx(3)}
    assert split.stages == {"full": pytest.approx(3)}


def test_what_no_layer_takes_is_outside() -> None:
    first, second = network("a", 100), network("b", 100)
    split = of_time(against(with_times(first, 3, late=2), with_times(second, 6, late=2, gone=1)))
    assert split.causes == {Cause.OUTSIDE: pytest.approx(2)}
    assert split.stages == {None: pytest.approx(2)}


def test_layers_that_overlap_take_no_longer_than_the_step() -> None:
    first, second = network("a", 100, head=10), network("b", 100, head=10)
    found = against(with_times(first, 4, late=6, fc=2), with_times(second, 2, late=1, fc=1))
    split = of_time(found)
    assert split.ratio == 0.5
    # The first's 6 and 2 ms become 3 and 1.
    assert sum(part.value for part in split.parts) == pytest.approx(log(0.5))
    assert Cause.OUTSIDE not in split.causes
    assert split.stages == {"1/4": pytest.approx(0.5)}  # 3 ms become 1, in the classifier 1 stays 1


def test_findings_speak_of_the_time_where_it_is_known() -> None:
    rows = [
        layer("conv", "stage1", extent=224, params=1, macs=100, nbytes=4),
        layer("pool", "stage1", op="MaxPool2d", extent=112, nbytes=1),
        layer("fc", "classifier", op="Linear", params=9, macs=1),
    ]
    wide = [
        replace(row, params=10 * row.params, macs=2 * row.macs, macs_backward=4 * row.macs) for row in rows
    ]
    first, second = (profile_of(table(name, found, [224])) for name, found in (("a", rows), ("b", wide)))
    timed_pair = with_times(first, 10, conv=1, pool=8, fc=1), with_times(second, 20, conv=2, pool=16, fc=2)
    said = {finding.id: finding for finding in against(*timed_pair).findings}
    assert said["time_ratio"].value == 2
    assert "20.00 ms against 10.00 ms" in said["time_ratio"].text
    # the same pooling takes twice as long, 8 of the 10 ms more
    assert said["time_causes"].value == pytest.approx(2**0.8)
    # 16 of 20 ms; of 10 ms more, 1 is in the classifier, where most of the parameters are.
    assert (said["belief_pooling"].holds, said["belief_pooling"].value) == (True, 0.8)
    assert (said["belief_parameters"].holds, said["belief_parameters"].value) == (False, 0.1)
    assert not {"time_ratio", "time_causes"} & {finding.id for finding in against(first, second).findings}


def test_the_median_step_and_every_pass_of_a_layer() -> None:
    found = measured_times([measurement("a", (9, 1, 2), late=4)], "a", SETUP)
    assert found == Times(2, {"late": 4}, "measured on a GPU")


def test_the_last_measurement_of_the_same_is_taken() -> None:
    one, other = measurement("a", (1,)), measurement("a", (2,))
    failed = replace(other, status=Status.OOM)
    passes = replace(measurement("a", (9,)), conditions=replace(other.conditions, protocol=Protocol.SEED))
    otherwise = measurement("a", (3,), Setup(batch=99))
    found = measured_times([one, other, failed, passes, otherwise, measurement("b", (4,))], "a", SETUP)
    assert found is not None
    assert found.step_ms == 2


def test_phases_stand_in_for_a_step_that_a_file_does_not_tell() -> None:
    phases = tuple(
        PhaseTime(phase, clock, ms, ms, ms, ms, 9)
        for phase, clock, ms in (("output", "cuda", 1), ("backward", "cuda", 2), ("backward", "host", 8))
    )
    found = measured_times([replace(measurement("a", (1,)), timing=None, phases=phases)], "a", SETUP)
    assert found is not None
    assert found.step_ms == 3
    assert measured_times([replace(measurement("a", (1,)), timing=None)], "a", SETUP) is None


def test_a_network_without_a_measurement_has_no_time() -> None:
    first, second = timed([network("a", 1), network("b", 2)], [measurement("a", (5,))])
    archs = compare([first, second]).archs
    assert [arch.step_ms for arch in archs] == [5, None]
    with pytest.raises(UsageError, match="there are those of c at batch 2"):
        timed([first, second], [measurement("c", (5,))])


def test_measurements_from_a_file(tmp_path: Path) -> None:
    file, setup = tmp_path / "found.jsonl", Setup(batch=2)
    names = ("lenet5", "lenet5@classes=5")
    write_measurements([measurement(name, (float(n),), setup) for n, name in enumerate(names, start=1)], file)
    found = api.compare(names, setup, measurements=file)
    assert [arch.step_ms for arch in found.archs] == [1, 2]
    assert found.ratios[1].step_ms == 2
    assert found.time_sources == ("measured on a GPU",) * 2
    assert not any("No time" in each for each in found.assumptions)


def test_measured_times_rest_on_no_prediction() -> None:
    predicted = [
        replace(
            network("a", 1), memory_assumptions=("of memory",), times=Times(3, {}, "a guess", ("of time",))
        ),
        network("b", 2),
    ]
    assert compare(predicted).assumptions == ("of memory", "of time")
    assert compare(timed(predicted, [measurement("a", (5,))])).assumptions == ("of memory",)


def test_the_network_that_a_file_lacks_is_named(tmp_path: Path) -> None:
    file, setup = tmp_path / "found.jsonl", Setup(batch=2)
    write_measurements([measurement("lenet5", (1.0,), setup)], file)
    found = api.compare(("lenet5", "lenet5@classes=5"), setup, measurements=file)
    assert [arch.step_ms for arch in found.archs] == [1, None]
    said = f"No time of lenet5@classes=5: {file} has no measurement of it in this setup."
    assert found.assumptions[-1] == said
    assert said.partition(" has")[0] in " ".join(views.compare(found, Form.TABLE).split())
