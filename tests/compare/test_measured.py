"""A measurement beside its prediction: what is set against what, and what is left open."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from measurement_made import GPU, on_cpu

from vggprof import api
from vggprof.compare.machine import card_of, peak_flops, software_of
from vggprof.compare.measured import MeasuredReport, PartTime
from vggprof.compare.parting import Difference
from vggprof.compare.sweep import SweepReport
from vggprof.compare.work import Bound
from vggprof.devices import find_device
from vggprof.measurement import (
    AllocatorEvent,
    Conditions,
    Execution,
    LayerTime,
    Measurement,
    Memory,
    Protocol,
    Samples,
    Status,
    Timing,
)
from vggprof.memory.forecast import Forecast
from vggprof.memory.recording import record
from vggprof.memory.run import End
from vggprof.memory.verdict import Status as Verdict
from vggprof.trace import Amp, Dtype, Mode, Setup
from vggprof.units import GIB, MIB


@pytest.fixture(autouse=True, scope="module")
def _no_cudnn() -> Iterator[None]:
    """Nobody to ask, so that every machine answers the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vggprof.target.find_libraries", lambda: ())
        yield


def on_gpu(batch: int = 2, **changes: object) -> Measurement:
    """A training of LeNet-5 on a GPU, of which nothing is known yet but where it ran."""
    made = Measurement(Conditions("lenet5", Setup(batch=batch), "cuda"), GPU, Status.OK)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def predicted() -> MeasuredReport:
    return api.compare_measurement(on_gpu())


def events_of(measurement: Measurement) -> tuple[AllocatorEvent, ...]:
    """What the allocator would do on that machine, as one that records would tell it."""
    card, software = card_of(measurement), software_of(measurement)
    with Forecast(lambda batch: api.trace_arch("lenet5", Setup(batch=batch)), software) as forecast:
        line, answers, room = forecast.asked(measurement.conditions.setup.batch, card)
    entries = record(line, answers, room.machine(End.LIKELY)).entries
    return tuple(AllocatorEvent(e.event.action.value, e.event.size_bytes, e.event.address) for e in entries)


def test_the_machine_is_that_of_the_measurement() -> None:
    device = card_of(on_gpu()).device
    assert device.name == "GeForce RTX 3060 12GB"
    assert device.usable.likely == device.usable.high == 12490768384
    software = software_of(on_gpu())
    assert (software.torch, software.cuda) == ((2, 15), (13, 0))
    assert software.cudnn.wanted == "9.26.0"


def test_of_cards_that_share_a_name_the_one_with_the_memory_is_meant() -> None:
    small = replace(GPU, device_name="NVIDIA GeForce RTX 3080", total_memory_bytes=10 * GIB - 300 * MIB)
    large = replace(small, total_memory_bytes=12 * GIB - 300 * MIB)
    cards = [card_of(on_gpu(environment=each)) for each in (small, large)]
    assert [card.device.memory_bytes // GIB for card in cards] == [10, 12]


def test_a_card_in_no_catalogue_is_what_torch_said_of_it() -> None:
    new = replace(GPU, device_name="NVIDIA X1", capability=(9, 0), sm_count=77)
    device = card_of(on_gpu(environment=new)).device
    assert (device.torch_name, device.capability, device.sm_count) == ("NVIDIA X1", (9, 0), 77)
    assert device.usable.likely == 12490768384


@pytest.mark.parametrize(("number", "version"), [(91900, "9.19.0"), (8907, "8.9.7"), (90101, "9.1.1")])
def test_versions_of_cudnn(number: int, version: str) -> None:
    # cudnn_version.h of cuDNN 8 and 9: CUDNN_VERSION.
    measurement = on_gpu(environment=replace(GPU, cudnn=number))
    assert software_of(measurement).cudnn.wanted == version


def test_settings_and_limits_are_those_of_the_measurement() -> None:
    conditions = Conditions(
        "lenet5", Setup(), "cuda", tf32=False, deterministic=True, memory_limit_bytes=8 * GIB
    )
    variables = (("PYTORCH_ALLOC_CONF", "max_split_size_mb:64"),)
    measurement = on_gpu(conditions=conditions, environment=replace(GPU, variables=variables))
    software = software_of(measurement)
    assert (software.settings.allow_tf32, software.settings.deterministic) == (False, True)
    assert software.allocator.max_split_bytes == 64 * MIB
    assert card_of(measurement).limit_bytes == 8 * GIB


def test_gpu_memory_stands_beside_its_prediction(predicted: MeasuredReport) -> None:
    assert predicted.memory is not None
    card = predicted.memory.single
    assert card is not None
    likely = card.prediction.peak_reserved.high
    measured = replace(predicted, measurement=on_gpu(memory=Memory(peak_reserved_bytes=likely + 512)))
    quantities = {each.name: each for each in measured.quantities}
    assert list(quantities) == [
        "peak_allocated_bytes",
        "peak_reserved_bytes",
        "context_bytes",
        "process_bytes",
    ]
    reserved = quantities["peak_reserved_bytes"]
    assert reserved.measured == likely + 512
    assert reserved.within is False
    assert quantities["peak_allocated_bytes"].difference is None
    assert quantities["peak_allocated_bytes"].predicted == card.prediction.peak_allocated
    assert card.prediction.status is Verdict.FITS
    assert predicted.largest_batch == card.largest_batch
    assert predicted.largest_batch is not None
    assert predicted.largest_batch > 1000


def test_differences_are_measured_less_predicted() -> None:
    report = api.compare_measurement(on_gpu(memory=Memory(context_bytes=500 * MIB)), search=False)
    context = next(each for each in report.quantities if each.name == "context_bytes")
    assert context.predicted is not None
    assert context.predicted.likely is not None
    assert context.difference == 500 * MIB - context.predicted.likely
    assert context.within is (context.predicted.low <= 500 * MIB <= context.predicted.high)
    assert report.largest_batch is None


def test_allocator_events_as_predicted() -> None:
    events = events_of(on_gpu())
    assert len(events) > 50
    same = api.compare_measurement(on_gpu(memory=Memory(events=events)), search=False)
    assert same.events_compared
    assert same.parting is None
    at = next(at for at, event in enumerate(events) if event.action == "alloc" and at > 20)
    other = (*events[:at], replace(events[at], size_bytes=4242), *events[at + 1 :])
    parts = api.compare_measurement(on_gpu(memory=Memory(events=other)), search=False)
    assert parts.parting is not None
    assert parts.parting.difference is Difference.SIZE
    assert parts.parting.measured == other[at]
    assert parts.parting.place is not None
    assert not api.compare_measurement(on_gpu(memory=Memory()), search=False).events_compared


def test_on_the_cpu_tensors_and_process_stand_apart() -> None:
    report = api.compare_measurement(on_cpu())
    assert report.tensors is not None
    tensors, process = report.quantities
    assert (tensors.name, process.name) == ("tensors_bytes", "process_bytes")
    assert tensors.predicted is not None
    assert tensors.predicted.likely == report.tensors.peak.allocated_bytes
    assert (process.predicted, process.measured) == (None, 300 * MIB)
    assert (tensors.difference, process.difference, process.within) == (None, None, None)
    assert report.memory is None
    assert report.largest_batch is None


def test_work_is_macs_over_time() -> None:
    report = api.compare_measurement(on_cpu(step=(10.0,)))
    assert report.layers is not None
    totals = report.layers.totals
    works = {work.part: work for work in report.works}
    assert works["forward"].macs == totals.macs
    assert works["backward"].macs == totals.macs_backward
    assert works["step"].macs == totals.macs + totals.macs_backward
    # The forward pass takes 4 ms of the 10.
    assert works["forward"].flops_per_s == pytest.approx(2 * totals.macs / 0.004)


def test_layers_have_the_work_of_their_row() -> None:
    report = api.compare_measurement(on_cpu())
    first, last, rest = report.layer_works
    # 6 filters of 1 x 5 x 5 over 28 x 28 positions and two images, in 2 ms.
    assert first.row is not None
    assert first.row.macs == 6 * 25 * 28 * 28 * 2
    assert first.flops_per_s == pytest.approx(2 * first.row.macs / 0.002)
    assert last.moved_bytes_per_s is not None
    assert (rest.row, rest.flops_per_s, rest.moved_bytes_per_s) == (None, None, None)
    assert (first.share_of_peak, first.bound) == (None, None)  # of a CPU the peak is not known


def test_on_a_gpu_layers_have_a_peak_and_a_bound() -> None:
    layers = (LayerTime("c1", 1.0, None), LayerTime("pool2", 1.0, None), LayerTime("relu1", None, 1.0))
    report = api.compare_measurement(on_gpu(layers=layers), search=False)
    device = find_device("RTX 3060")
    by_name = {work.time.name: work for work in report.layer_works}
    assert by_name["c1"].peak_flops == device.peak_flops("tf32")
    assert by_name["c1"].bandwidth_bytes_per_s == device.bandwidth_bytes_per_s
    row = by_name["c1"].row
    assert row is not None
    assert by_name["c1"].share_of_peak == pytest.approx(2000 * row.macs / (device.peak_flops("tf32") or 0))
    # 2 x 25 FLOPs a pixel of the output per 4 bytes written: below the ridge of any GPU.
    assert by_name["c1"].bound is Bound.MEMORY


@pytest.mark.parametrize(
    ("setup", "op", "tf32", "rate"),
    [
        (Setup(), "Conv2d", True, "tf32"),
        (Setup(), "Conv2d", False, "fp32"),
        (Setup(), "Linear", True, "fp32"),
        (Setup(amp=Amp.FP16), "Linear", True, "fp16"),
        (Setup(amp=Amp.BF16), "Conv2d", True, "bf16"),
        (Setup(mode=Mode.INFER, dtype=Dtype.FP16), "Conv2d", True, "fp16"),
    ],
)
def test_the_peak_is_that_of_the_units_that_do_it(setup: Setup, op: str, tf32: bool, rate: str) -> None:
    device = find_device("RTX 3060")
    assert peak_flops(device, setup, op, tf32=tf32) == device.peak_flops(rate)  # type: ignore[arg-type]


def test_a_gpu_without_tf32_works_in_fp32() -> None:
    device = find_device("Tesla T4")
    assert peak_flops(device, Setup(), "Conv2d", tf32=True) == device.peak_flops("fp32")


@pytest.mark.parametrize(
    ("host", "bound"),
    [(None, None), ((5.0, 5.5, 6.0), False), ((9.5, 10.0, 10.5), True), ((12.0, 13.0), True)],
)
def test_a_gpu_that_waits_for_the_host_is_launch_bound(
    host: tuple[float, ...] | None, bound: bool | None
) -> None:
    issued = None if host is None else Samples(host)
    timing = Timing("cuda events", Samples((10.0, 10.2, 10.4)), host_step=issued)
    assert MeasuredReport(on_gpu(timing=timing)).launch_bound is bound


def test_what_layers_leave_is_the_rest() -> None:
    # The forward pass takes 4.4 ms, its layers 2, 1.5 and 0.25; the optimizer 1.1, of which 0.25 are told.
    rests = {rest.part: rest for rest in api.compare_measurement(on_cpu()).rests}
    assert rests["forward"].time_ms == pytest.approx(4.4 - 3.75)
    assert rests["backward"].time_ms == pytest.approx(5.5 - 5.0)
    assert rests["optimizer"].time_ms == pytest.approx(1.1 - 0.25)


def test_what_cannot_be_predicted_is_said() -> None:
    unknown = api.compare_measurement(on_gpu(conditions=Conditions("no_such_net", Setup(), "cuda")))
    assert unknown.layers is None
    assert unknown.memory is None
    assert unknown.notes[0].startswith("Nothing is predicted: ")
    sizeless = api.compare_measurement(on_gpu(environment=replace(GPU, total_memory_bytes=None)))
    assert sizeless.layers is not None
    assert sizeless.memory is None
    why = "the memory of NVIDIA GeForce RTX 3060 was not recorded"
    assert sizeless.notes == (f"No memory is predicted: {why}", f"No time is predicted: {why}")


def test_other_modes_than_eager_are_said() -> None:
    conditions = Conditions("lenet5", Setup(), "cuda", execution=Execution.GRAPH)
    report = api.compare_measurement(on_gpu(conditions=conditions), search=False)
    assert "The memory is predicted of eager mode; what graph adds or saves is not in it." in report.notes
    assert report.latency is not None
    assert report.latency.execution is Execution.GRAPH


def times_of(report: MeasuredReport) -> dict[str, PartTime]:
    return {each.name: each for each in report.times}


def test_times_stand_beside_their_prediction() -> None:
    likely = {name: each.predicted for name, each in times_of(api.compare_measurement(on_gpu())).items()}
    assert list(likely) == ["forward", "backward", "optimizer", "step"]
    step, forward = likely["step"], likely["forward"]
    assert step is not None
    assert forward is not None
    timing = Timing("cuda events", Samples((step.high + 1,)), forward=Samples((forward.likely,)))
    report = api.compare_measurement(on_gpu(timing=timing), search=False)
    found = times_of(report)
    assert found["step"].difference_ms == pytest.approx(step.high + 1 - step.likely)
    assert (found["step"].within, found["forward"].within) == (False, True)
    assert (found["backward"].difference_ms, found["backward"].within) == (None, None)
    assert report.layer_latencies["c1"].forward_ms > 0
    assert any(
        note.startswith("Times are predicted from what is known of the GPU's gen") for note in report.notes
    )


def test_passes_have_no_optimizer_so_their_step_has_no_prediction() -> None:
    conditions = Conditions("lenet5", Setup(), "cuda", protocol=Protocol.SEED)
    found = times_of(api.compare_measurement(on_gpu(conditions=conditions), search=False))
    assert found["forward"].predicted is not None
    assert found["backward"].predicted is not None
    assert (found["step"].predicted, found["optimizer"].predicted) == (None, None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"conditions": Conditions("lenet5", Setup(), "cuda", Execution.COMPILE)}, "torch.compile makes"),
        ({"environment": replace(GPU, device_name="NVIDIA X1")}, "NVIDIA X1 is not in the catalogue"),
    ],
)
def test_why_no_time_is_predicted(change: dict[str, object], why: str) -> None:
    report = api.compare_measurement(replace(on_gpu(), **change), search=False)  # type: ignore[arg-type]
    assert report.latency is None
    assert report.layer_latencies == {}
    assert all(each.predicted is None for each in report.times)
    assert any(note.startswith(f"No time is predicted: {why}") for note in report.notes)


def test_no_time_is_predicted_for_the_cpu() -> None:
    report = api.compare_measurement(on_cpu())
    assert report.latency is None
    assert report.notes[-1] == "No time is predicted for the CPU: prices are of the kernels of GPUs."
    assert times_of(report)["step"].measured_ms == 11.0


def tried(batch: int, status: Status) -> Measurement:
    measurement = on_gpu(batch, status=status)
    return replace(measurement, timing=Timing("cuda events", Samples((1.0,))))


def test_the_edge_of_a_sweep() -> None:
    order = ((32, Status.OK), (64, Status.OOM), (48, Status.CRASHED), (40, Status.OK), (44, Status.OOM))
    found = api.compare_sweep([tried(batch, status) for batch, status in order])
    (edge,) = found.edges
    assert (edge.measured, edge.first_failing) == (40, 44)
    assert edge.predicted == found.reports[0].largest_batch
    assert edge.predicted is not None
    assert edge.difference == 40 - edge.predicted
    assert [each.largest_batch for each in found.reports[1:]] == [None] * 4


def test_an_edge_that_was_not_reached_has_no_difference() -> None:
    (edge,) = api.compare_sweep([tried(1, Status.OK), tried(2, Status.OK)]).edges
    assert (edge.measured, edge.first_failing, edge.difference) == (2, None, None)


def test_networks_have_an_edge_each_and_single_measurements_none() -> None:
    one, other = MeasuredReport(tried(1, Status.OK)), MeasuredReport(on_cpu(1))
    assert SweepReport((one, other)).edges == ()
    both = SweepReport((one, one, other, MeasuredReport(on_cpu(2))))
    assert [edge.conditions.device for edge in both.edges] == ["cuda", "cpu"]
