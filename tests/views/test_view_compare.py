"""A comparison as text and JSON: what is shown where time is known, and where setups are not the same."""

import json
from dataclasses import replace
from math import exp

import pytest

from vggprof import api, views
from vggprof.compare import Comparison, compare, profile
from vggprof.compare.times import Times
from vggprof.forms import Form
from vggprof.trace import Setup


def shown(comparison: Comparison) -> str:
    """Return the table with its lines put together."""
    return " ".join(views.compare(comparison, Form.TABLE).split())


def test_time_is_split_and_explained() -> None:
    alone = [profile(api.trace_arch(arch, Setup(batch=2))) for arch in ("lenet5", "lenet5@classes=5")]
    times = Times(4, {"c1": 1.0, "c5": 2.0}, "a stopwatch"), Times(8, {"c1": 2.0, "c5": 4.0}, "a stopwatch")
    found = compare([replace(each, times=known) for each, known in zip(alone, times, strict=True)])
    text = shown(found)
    assert "Time a stopwatch" in text
    assert "step, ms 4.00 8.00 2.00 x" in text
    assert "The time is split by resolution, without layers that both have: more work is MACs" in text
    assert "The time is split" not in shown(compare(alone))
    # 1 ms becomes 2 at the same MACs, 2 become 4 at hardly fewer, and 1 becomes 2 outside: a quarter of ln 2,
    # for each L(a, 2a) / L(4, 8) is a / 4.
    (against,) = json.loads(views.compare(found, Form.JSON))["archs"][1:]
    assert against["step_ms"] == 8
    attribution = json.loads(views.compare(found, Form.JSON))["attribution"]
    of_time = {(part["stage"], part["cause"]): part for part in attribution if part["quantity"] == "step_ms"}
    assert of_time["full", "time_per_mac"]["factor"] == pytest.approx(2**0.25)
    assert of_time[None, "outside_of_layers"]["factor"] == pytest.approx(2**0.25)
    for part in of_time.values():
        assert part["factor"] == exp(part["value"])


def test_setups_that_differ_are_told_apart() -> None:
    traces = [api.trace_arch("lenet5", Setup(batch=batch)) for batch in (2, 4)]
    found = api.compare(traces)
    text = views.compare(found, Form.TABLE)
    assert "lenet5: batch 2, training with momentum, fp32\nlenet5: batch 4, training" in text
    said = json.loads(views.compare(found, Form.JSON))
    assert said["setup"] is None
    assert [arch["setup"]["batch"] for arch in said["archs"]] == [2, 4]
    causes = {part["cause"] for part in said["attribution"] if part["quantity"] == "macs"}
    assert causes == {"batch", "classifier"}
