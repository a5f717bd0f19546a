"""Files of the stand-alone recorder, in the form in which it writes them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from vggprof.errors import FileFormatError
from vggprof.measurement import AllocatorEvent, Measurement, MemoryMark, PhaseTime, Status, read_measurements
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Setup
from vggprof.units import GIB

ABOUT = {
    "gpu": "NVIDIA H200",
    "total_memory": 150109880320,
    "capability": [9, 0],
    "sm": 132,
    "l2": 62914560,
    "torch": "2.11.0+cu130",
    "cuda": "13.0",
    "cudnn": 91900,
    "tf32_conv": True,
    "tf32_matmul": False,
    "python": "3.11.2",
    "env": {"PYTORCH_ALLOC_CONF": "expandable_segments:False"},
}
CONFIG = {
    "net": "vgg16",
    "batch": 32,
    "dtype": "fp32",
    "layout": "nchw",
    "optimizer": "momentum",
    "benchmark": False,
    "hw": 224,
    "capacity_gib": 0,
}


def written(
    folder: Path, kind: str, rows: list[dict[str, Any]], events: list[dict[str, Any]] | None = None
) -> Path:
    """Write a recording as the recorder does: what it was made on, then its rows; events beside it."""
    path = folder / f"{kind}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"about": ABOUT}, *rows]))
    if events is not None:
        with gzip.open(folder / f"{kind}-events.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in events)
    return path


def config(**changes: object) -> dict[str, Any]:
    return {**CONFIG, **changes}


def mark(allocated: int, reserved: int) -> dict[str, int]:
    return {
        "allocated": allocated,
        "reserved": reserved,
        "peak_allocated": allocated + 1,
        "peak_reserved": reserved + 1,
    }


def only(path: Path) -> Measurement:
    (measurement,) = read_measurements(path)
    return measurement


MEMORY = {
    "config": CONFIG,
    "marks": {"start": mark(0, 0), "model": mark(512, 2097152), "input0": mark(1024, 2097152)},
    "peak_allocated": 1024,
    "peak_reserved": 2097152,
    "requested_peak": 1000,
    "retries": 0,
}
EVENTS = {
    "config": CONFIG,
    "events": [["s", 2097152, 4096], ["a", 500, 4096], ["a", 500, 4608], ["f", 500, 4096]],
    "marks": [["start", 0], ["model", 2], ["input0", 4]],
}


def test_what_it_was_made_on(tmp_path: Path) -> None:
    measurement = only(written(tmp_path, "memory", [MEMORY]))
    environment, conditions = measurement.environment, measurement.conditions
    assert (environment.device_name, environment.torch, environment.cuda) == (
        "NVIDIA H200",
        "2.11.0+cu130",
        "13.0",
    )
    assert (environment.cudnn, environment.capability, environment.sm_count) == (91900, (9, 0), 132)
    assert environment.total_memory_bytes == 150109880320
    assert environment.variables == (("PYTORCH_ALLOC_CONF", "expandable_segments:False"),)
    assert environment.threads is None
    assert conditions.arch == "torchvision.models:vgg16@input=3x224x224"
    assert conditions.setup == Setup(batch=32)
    assert (conditions.device, conditions.tf32, conditions.memory_limit_bytes) == ("cuda", True, None)


def test_memory_with_its_events(tmp_path: Path) -> None:
    memory = only(written(tmp_path, "memory", [MEMORY], [EVENTS])).memory
    assert memory is not None
    assert (memory.peak_allocated_bytes, memory.peak_reserved_bytes, memory.retries) == (1024, 2097152, 0)
    assert memory.process_bytes is None
    assert memory.marks == (
        MemoryMark(None, "start", 0, 0, 1, 1),
        MemoryMark(None, "model", 512, 2097152, 513, 2097153),
        MemoryMark(0, "input", 1024, 2097152, 1025, 2097153),
    )
    assert memory.events == (
        AllocatorEvent("segment_alloc", 2097152, 4096),
        AllocatorEvent("alloc", 500, 4096),
        AllocatorEvent("alloc", 500, 4608),
        AllocatorEvent("free_completed", 500, 4096),
    )
    assert memory.event_marks == (0, 2, 4)


def test_memory_without_its_events(tmp_path: Path) -> None:
    other = {**EVENTS, "config": config(batch=8)}
    memory = only(written(tmp_path, "memory", [MEMORY], [other])).memory
    assert memory is not None
    assert len(memory.marks) == 3
    assert not memory.events
    assert not memory.event_marks


@pytest.mark.parametrize(
    ("changes", "setup"),
    [
        ({"dtype": "amp_fp16", "layout": "nhwc"}, Setup(32, amp=Amp.FP16, layout=Layout.CHANNELS_LAST)),
        ({"dtype": "amp_bf16", "optimizer": "adam"}, Setup(32, optimizer=Optimizer.ADAM, amp=Amp.BF16)),
        ({"dtype": "infer_fp32"}, Setup(32, Mode.INFER)),
        ({"dtype": "infer_fp16", "batch": 1}, Setup(1, Mode.INFER, dtype=Dtype.FP16)),
    ],
)
def test_configurations(tmp_path: Path, changes: dict[str, Any], setup: Setup) -> None:
    measurement = only(written(tmp_path, "memory", [{**MEMORY, "config": config(**changes)}]))
    assert measurement.conditions.setup == setup


def test_networks_with_auxiliary_heads_are_built_without(tmp_path: Path) -> None:
    row = {**MEMORY, "config": config(net="inception_v3", hw=299, benchmark=True)}
    conditions = only(written(tmp_path, "memory", [row])).conditions
    assert conditions.arch == (
        "torchvision.models:inception_v3@input=3x299x299,aux_logits=False,init_weights=False"
    )
    assert conditions.benchmark


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("timed out", Status.TIMEOUT),
        ("torch.OutOfMemoryError: CUDA out of memory.", Status.OOM),
        ("Segmentation fault", Status.CRASHED),
    ],
)
def test_runs_that_failed(tmp_path: Path, error: str, status: Status) -> None:
    measurement = only(written(tmp_path, "memory", [{"config": CONFIG, "error": error}]))
    assert (measurement.status, measurement.message, measurement.memory) == (status, error, None)


def test_what_was_never_run_is_left_out(tmp_path: Path) -> None:
    never = {"config": config(batch=8), "error": "not run: time was up"}
    assert only(written(tmp_path, "memory", [MEMORY, never])).conditions.setup.batch == 32
    with pytest.raises(FileFormatError, match="holds no measurements"):
        read_measurements(written(tmp_path, "memory", [never]))


def seen(gpu: int, processes: list[list[int | None]], reserved: int) -> dict[str, Any]:
    return {"gpu": gpu, "processes": processes, "me": 70, "runtime_used": gpu, "reserved": reserved}


@pytest.mark.parametrize(
    ("before", "numbers", "found"),
    [
        ([], (70, 70), (900, 400)),  # by its own number
        ([[5, 100]], (70, 70), (900, 400)),
        ([[5, 100]], (4711, 4711), (900, 400)),  # in a container: the only one that came
        ([], (4711, 4712), (None, None)),  # two came, so nobody knows
    ],
)
def test_process_memory_is_that_of_the_process(
    tmp_path: Path,
    before: list[list[int | None]],
    numbers: tuple[int, int],
    found: tuple[int | None, int | None],
) -> None:
    # The first mark: 600 of which 200 are reserved; the second: 900 of which 500 are, so 400 in either case.
    others = before if numbers[0] == numbers[1] else [[numbers[1], 50]]
    marks = {
        "model": seen(1000, [*others, [numbers[0], 600]], 200),
        "output0": seen(1300, [*others, [numbers[0], 900]], 500),
    }
    quiet = {"gpu": 100, "processes": before, "me": 70}
    row = {"config": CONFIG, "before": quiet, "marks": marks}
    context: dict[str, Any] = {"context": {"stages": []}}
    memory = only(written(tmp_path, "process", [context, row])).memory
    assert memory is not None
    assert (memory.process_bytes, memory.context_bytes) == found
    assert (memory.gpu_bytes, memory.peak_reserved_bytes, memory.marks) == (1300, 500, ())


def test_a_driver_that_says_nothing(tmp_path: Path) -> None:
    silent = {"nvml_error": "NVMLError_NotSupported()"}
    row = {
        "config": CONFIG,
        "before": silent,
        "marks": {"model": {**silent, "runtime_used": 9, "reserved": 5}},
    }
    memory = only(written(tmp_path, "process", [row])).memory
    assert memory is not None
    assert (memory.process_bytes, memory.gpu_bytes, memory.context_bytes) == (None, None, None)


@pytest.mark.parametrize("device_free", [None, 2**20])  # torch has it in the place of an OOM's address
def test_the_edge_of_what_fits(device_free: int | None, tmp_path: Path) -> None:
    searched = config(batch=0, capacity_gib=8, optimizer="sgd")
    row = {"config": searched, "largest_batch": 96, "first_failing": 97, "message": "CUDA out of memory."}
    events = {
        "config": searched,
        "fits": {"events": [["a", 512, 4096]], "marks": []},
        "fails": {"events": [["a", 512, 4096], ["o", 1024, device_free]], "marks": []},
    }
    fits, fails = read_measurements(written(tmp_path, "oom", [row], [events]))
    assert (fits.status, fits.conditions.setup.batch) == (Status.OK, 96)
    assert (fails.status, fails.conditions.setup.batch) == (Status.OOM, 97)
    assert fails.message == "CUDA out of memory."
    assert fits.conditions.memory_limit_bytes == 8 * GIB
    assert fits.memory is not None
    assert fails.memory is not None
    assert fits.memory.events == (AllocatorEvent("alloc", 512, 4096),)
    assert fails.memory.events[-1] == AllocatorEvent("oom", 1024, None)


@pytest.mark.parametrize(
    ("low", "high", "tried"),
    # The search begins at 32, doubles until something fails, and halves the gap from then on.
    [(0, None, 32), (64, None, 128), (64, 128, 96), (0, 32, 16)],
)
def test_a_search_that_broke_off(tmp_path: Path, low: int, high: int | None, tried: int) -> None:
    searched = config(batch=0, capacity_gib=8)
    row = {"config": searched, "error": "timed out", "largest_batch": low, "first_failing": high}
    found = [
        (each.conditions.setup.batch, each.status)
        for each in read_measurements(written(tmp_path, "oom", [row]))
    ]
    expected = [(low, Status.OK)] if low else []
    expected += [] if high is None else [(high, Status.OOM)]
    assert found == [*expected, (tried, Status.TIMEOUT)]


def quartiles(median: float) -> dict[str, float]:
    return {"median": median, "p25": median - 1, "p75": median + 1, "min": median - 2, "n": 25}


def test_times_are_quartiles_by_phase(tmp_path: Path) -> None:
    row = {
        "config": CONFIG,
        "output_ms": quartiles(20.0),
        "host_output_ms": quartiles(5.0),
        "backward_ms": quartiles(40.0),
    }
    measurement = only(written(tmp_path, "time", [row]))
    assert measurement.timing is None
    assert measurement.phases == (
        PhaseTime("output", "cuda events", 20.0, 19.0, 21.0, 18.0, 25),
        PhaseTime("output", "host", 5.0, 4.0, 6.0, 3.0, 25),
        PhaseTime("backward", "cuda events", 40.0, 39.0, 41.0, 38.0, 25),
    )


def test_a_network_whose_process_failed_fails_in_all_its_configurations(tmp_path: Path) -> None:
    whole = {"net": "vgg16", "configs": [config(batch=1), config(batch=8)]}
    rows = [{"config": config(batch=64), "error": "RuntimeError()"}, {"config": whole, "error": "timed out"}]
    found = read_measurements(written(tmp_path, "time", rows))
    assert [(each.conditions.setup.batch, each.status) for each in found] == [
        (64, Status.CRASHED),
        (1, Status.TIMEOUT),
        (8, Status.TIMEOUT),
    ]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({}, "a row of a recording has a config"),
        ({**MEMORY, "config": config(dtype="int8")}, "'int8' is none of fp32"),
        ({**MEMORY, "config": config(optimizer="lion")}, "'lion' is none of"),
        ({**MEMORY, "config": {"net": "vgg16"}}, "config: 'batch' is missing"),
        ({**MEMORY, "marks": []}, "'marks' must be an object"),
        ({**MEMORY, "marks": {"0": mark(1, 1)}}, "'0' is no mark"),
        ({**MEMORY, "config": config(batch=-1)}, "-1 is not between"),
        ({**MEMORY, "peak_allocated": -5}, "'peak_allocated' must be a whole number"),
        ({"config": CONFIG, "output_ms": {"median": 1.0}}, "output_ms: 'p25' is missing"),
    ],
)
def test_other_rows_are_refused_with_their_line(tmp_path: Path, row: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FileFormatError, match=complaint) as error:
        read_measurements(written(tmp_path, "memory", [MEMORY, row]))
    assert "memory.jsonl:3" in str(error.value)


def test_events_that_are_another_runs_or_none_are_refused(tmp_path: Path) -> None:
    renamed = {**EVENTS, "marks": [["start", 0], ["model", 2], ["input1", 4]]}
    with pytest.raises(FileFormatError, match="the marks among its events are others"):
        read_measurements(written(tmp_path, "memory", [MEMORY], [renamed]))
    unknown = {**EVENTS, "events": [["x", 1, 1]] * 4}
    with pytest.raises(FileFormatError, match="'x' is none of a, f, s, r, o"):
        read_measurements(written(tmp_path, "memory", [MEMORY], [unknown]))
    (tmp_path / "memory-events.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(FileFormatError, match="not a whole gzip file"):
        read_measurements(tmp_path / "memory.jsonl")


def test_a_small_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vggprof.measurement.recorded.MAX_UNPACKED_BYTES", 100)
    with pytest.raises(FileFormatError, match="unpacks to more than 100 bytes"):
        read_measurements(written(tmp_path, "memory", [MEMORY], [EVENTS]))


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "recorded").glob("*/*.jsonl")), ids=str)
def test_recordings_of_gpus_are_read(path: Path) -> None:
    measurements = read_measurements(path)
    assert {each.conditions.device for each in measurements} == {"cuda"}
    assert any(each.status is Status.OK for each in measurements)
