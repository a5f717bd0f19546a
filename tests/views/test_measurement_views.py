"""Measurements, what has changed between two, and kept runs, in every form."""

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest
from conftest import Golden
from measurement_made import GPU, on_cpu

from vggprof import api, views
from vggprof.compare.diff import diff
from vggprof.compare.measured import MeasuredReport
from vggprof.forms import Form
from vggprof.latency.interval import Interval
from vggprof.latency.predict import Latency, LayerLatency
from vggprof.latency.pricing import Bound
from vggprof.measurement import (
    AllocatorEvent,
    Conditions,
    Kernel,
    LayerTime,
    Measurement,
    Memory,
    MemoryMark,
    PhaseTime,
    Protocol,
    Samples,
    Status,
    Timing,
)
from vggprof.store import Run
from vggprof.trace import Setup
from vggprof.units import GIB, MIB

SUFFIX = {Form.TABLE: "txt", Form.MARKDOWN: "md", Form.CSV: "csv", Form.JSON: "json"}
FORMS = pytest.mark.parametrize("form", list(Form))

STEP = (2.0, 2.1, 2.2, 2.05, 2.15)


def on_gpu(batch: int = 64) -> Measurement:
    """A training of LeNet-5 with everything that can be measured; its first allocation is another."""
    return Measurement(
        conditions=Conditions(
            "lenet5", Setup(batch=batch), "cuda", benchmark=True, memory_limit_bytes=8 * GIB
        ),
        environment=replace(GPU, variables=(("PYTORCH_ALLOC_CONF", "max_split_size_mb:64"),)),
        status=Status.OK,
        timing=Timing(
            clock="cuda events",
            step=Samples(STEP, throttled=(2,)),
            forward=Samples(tuple(0.4 * each for each in STEP)),
            backward=Samples(tuple(0.5 * each for each in STEP)),
            optimizer=Samples(tuple(0.1 * each for each in STEP)),
            host_step=Samples(tuple(0.98 * each for each in STEP)),
            converged=False,
        ),
        layers=(
            LayerTime(
                "c1",
                0.3,
                0.4,
                wgrad_ms=0.4,
                kernels=(Kernel("implicit_convolve_sgemm", "forward", 1.0, 0.3),),
            ),
            LayerTime("c1_sigmoid", 0.1, 0.1),
            LayerTime("f6", 0.1, 0.2, dgrad_ms=0.1, wgrad_ms=0.1, optimizer_ms=0.01),
            LayerTime("", 0.05, None),
        ),
        memory=Memory(
            peak_allocated_bytes=20 * MIB,
            peak_reserved_bytes=24 * MIB,
            process_bytes=424 * MIB,
            gpu_bytes=500 * MIB,
            context_bytes=400 * MIB,
            marks=(
                MemoryMark(None, "model", MIB, 2 * MIB, MIB, 2 * MIB),
                MemoryMark(0, "input", 2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB),
                MemoryMark(0, "output", 12 * MIB, 22 * MIB, 12 * MIB, 22 * MIB),
            ),
            events=(AllocatorEvent("segment_alloc", 2 * MIB, 4096), AllocatorEvent("alloc", 700, 4096)),
            event_marks=(2, 2, 2),
            retries=0,
        ),
        began="2026-01-02T03:04:05+00:00",
    )


@pytest.fixture(scope="module")
def report() -> MeasuredReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vggprof.target.find_libraries", lambda: ())  # nobody to ask: the same everywhere
        made = api.compare_measurement(on_gpu())
    return replace(made, latency=predicted(made))


def predicted(report: MeasuredReport) -> Latency:
    """A time by hand, so that no new price changes what a form looks like."""
    assert report.latency is not None
    layers = (
        LayerLatency("c1", "Conv2d", 0.25, None, 0.5, Bound.COMPUTE, 0.5, ("direct",)),
        LayerLatency("f6", "Linear", 0.125, 0.125, 0.0625, Bound.LAUNCH, 0.25, ("product",)),
    )
    return replace(
        report.latency,
        forward=Interval(0.5, 1.0, 2.0),
        backward=Interval(0.25, 0.5, 1.0),
        optimizer=Interval(0.125, 0.25, 0.5),
        step=Interval(0.875, 1.75, 3.5),
        layers=layers,
    )


@FORMS
def test_a_measurement(report: MeasuredReport, form: Form, golden: Golden) -> None:
    golden(f"measure.{SUFFIX[form]}", views.measurement(report, form))


def test_a_measurement_on_the_cpu(golden: Golden) -> None:
    golden("measure-cpu.txt", views.measurement(api.compare_measurement(on_cpu()), Form.TABLE))


def test_what_could_not_be_measured(golden: Golden) -> None:
    failed = replace(
        on_cpu(),
        status=Status.CRASHED,
        message="the process ended with signal 9",
        timing=None,
        layers=(),
        memory=None,
    )
    golden("measure-crashed.txt", views.measurement(MeasuredReport(failed), Form.TABLE))


def test_times_that_are_only_known_as_quartiles() -> None:
    phases = (
        PhaseTime("output", "cuda events", 20.0, 19.0, 21.0, 18.0, 25),
        PhaseTime("output", "host", 5.0, 4.0, 6.0, 3.0, 25),
    )
    told = MeasuredReport(replace(on_cpu(), timing=None, layers=(), memory=None, phases=phases))
    text = views.measurement(told, Form.TABLE)
    assert "output  cuda events   20.00  19.00  21.00  18.00  25\n" in text
    result = json.loads(views.measurement(told, Form.JSON))
    assert result["timing"]["forward_ms"] is None
    assert result["timing"]["phases"][1]["median_ms"] == 5.0


@FORMS
def test_a_sweep(form: Form, golden: Golden) -> None:
    measured = [
        on_cpu(1),
        on_cpu(2),
        replace(on_cpu(4), status=Status.OOM, timing=None, layers=(), memory=None),
    ]
    golden(f"measure-sweep.{SUFFIX[form]}", views.sweep(api.compare_sweep(measured), form))


@FORMS
def test_a_diff(form: Form, golden: Golden) -> None:
    before, after = on_gpu(), on_gpu(128)
    more = (*STEP, 2.12)
    before = replace(before, timing=Timing("cuda events", Samples(more), Samples(more), converged=False))
    timing = Timing("cuda events", Samples(tuple(each + 1 for each in more)), forward=Samples((0.8, 0.9)))
    memory = Memory(
        peak_allocated_bytes=20 * MIB + 512, peak_reserved_bytes=22 * MIB, process_bytes=425 * MIB
    )
    after = replace(after, timing=timing, memory=memory)
    golden(f"diff.{SUFFIX[form]}", views.diff(diff(before, after, ("brisk-otter", "new.jsonl")), form))


RUNS = (
    Run(
        "brisk-otter",
        "2026-01-02T03:04:05+00:00",
        "vgg16",
        32,
        "train",
        "ok",
        "NVIDIA H200",
        "2.15.0",
        61.4,
        2**32,
    ),
    Run(
        "calm-wren",
        "2026-01-02T03:05:06+00:00",
        "vgg16",
        2048,
        "train",
        "oom",
        "NVIDIA H200",
        "2.15.0",
        None,
        None,
    ),
)


@FORMS
def test_kept_runs(form: Form, golden: Golden) -> None:
    golden(f"runs.{SUFFIX[form]}", views.runs(RUNS, form))


def test_no_runs() -> None:
    assert "None yet" in views.runs((), Form.TABLE)
    assert json.loads(views.runs((), Form.JSON))["runs"] == []


def test_the_keys_that_programs_read(report: MeasuredReport) -> None:
    result = json.loads(views.measurement(report, Form.JSON))
    statistics = {"median", "p25", "p75", "min", "mean", "std", "n"}
    for part in ("forward_ms", "backward_ms", "optimizer_ms", "step_ms"):
        assert statistics <= result["timing"][part].keys()
    assert [layer["name"] for layer in result["layers"]] == ["c1", "c1_sigmoid", "f6", ""]
    assert result["layers"][0]["forward_ms"] == 0.3
    assert result["layers"][3]["backward_ms"] is None
    held, predicted, apart = (result[key] for key in ("memory", "predicted", "difference"))
    for name in ("peak_allocated_bytes", "peak_reserved_bytes", "process_bytes"):
        assert type(held[name]) is type(predicted[f"{name}_low"]) is int
        expected = None if predicted[name] is None else held[name] - predicted[name]
        assert apart[name] == expected
        inside = predicted[f"{name}_low"] <= held[name] <= predicted[f"{name}_high"]
        assert apart["within"][name] is inside
    assert apart["first_event"]["differs"] == "size"
    assert (result["status"], result["environment"]["sm_count"]) == ("ok", 28)
    assert result["setup"]["batch"] == 64


def test_csv_says_what_json_says(report: MeasuredReport) -> None:
    rows = list(csv.DictReader(StringIO(views.measurement(report, Form.CSV))))
    result = json.loads(views.measurement(report, Form.JSON))
    said = {(row["kind"], row["of"], row["quantity"]): row["measured"] for row in rows}
    assert float(said["timing", "step", "median_ms"]) == result["timing"]["step_ms"]["median"]
    assert float(said["layer", "f6", "dgrad_ms"]) == 0.1
    assert int(said["memory", "", "process_bytes"]) == result["memory"]["process_bytes"]
    assert int(said["mark", "output 0", "allocated_bytes"]) == 12 * MIB


def test_names_never_become_markup() -> None:
    measured = replace(
        on_cpu(),
        conditions=Conditions("<b>|*net*", Setup(), "cpu"),
        layers=(LayerTime("a|<i>\x1b[2J", 1.0, 1.0, kernels=(Kernel("void <k>(|)", "forward", 1.0, 1.0),)),),
    )
    report = MeasuredReport(measured)
    text, markdown = views.measurement(report, Form.TABLE), views.measurement(report, Form.MARKDOWN)
    assert "\x1b" not in text + markdown
    assert "<i>" not in markdown.replace("\\<i\\>", "")
    assert "\\<b\\>\\|\\*net\\*" in markdown


def test_the_head_says_threads_protocol_and_why_no_more_steps_were_timed() -> None:
    made = on_cpu()
    assert made.timing is not None
    passes = MeasuredReport(
        replace(
            made,
            conditions=replace(made.conditions, protocol=Protocol.SEED),
            environment=replace(made.environment, threads=1),
            timing=replace(made.timing, converged=False, capped=True),
        )
    )
    text = views.measurement(passes, Form.TABLE)
    assert "eager, passes timed as by alexnet_benchmark.py (protocol seed); torch 2.15.0, 1 thread\n" in text
    assert "Time was up after 3 steps" in text
    assert "take more steps" not in text
    assert "forward and backward" in text
