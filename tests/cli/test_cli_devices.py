"""``gpus``, ``cudnn list`` and ``replay`` whole, from words to text; tests/golden holds what comes out."""

import gzip
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vggprof.cli.run import run
from vggprof.devices import GpuHere, GpuProcess, Range, Survey, find_device
from vggprof.devices import listing as gpu_listing
from vggprof.forms import Form
from vggprof.memory.workspaces import listing as cudnn_listing
from vggprof.memory.workspaces import targets
from vggprof.memory.workspaces.libraries import PATH_VARIABLE, CudnnLibrary
from vggprof.units import MIB

Captured = pytest.CaptureFixture[str]
Golden = Callable[[str, str], None]

SUFFIX = {Form.TABLE: "txt", Form.MARKDOWN: "md", Form.CSV: "csv", Form.JSON: "json"}
SNAPSHOTS = Path(__file__).parents[1] / "data" / "snapshots"
HEAVY = {"torch", "pandas", "numpy", "pydantic", "cudnn"}
BASE = 0x7F00_0000_0000


@pytest.fixture
def _gpu_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an RTX 3060 here, on which somebody already works."""
    card = find_device("RTX 3060 12GB").with_usable(Range.exact(11910 * MIB), "NVML on this machine")
    gpu = GpuHere(
        device=card,
        in_catalogue=True,
        index=0,
        uuid="GPU-1",
        name="NVIDIA GeForce RTX 3060",
        total_bytes=12288 * MIB,
        reserved_bytes=378 * MIB,
        free_bytes=10410 * MIB,
        used_bytes=1500 * MIB,
        processes=(GpuProcess(4242, 1450 * MIB, "python"), GpuProcess(77, None, "Xorg")),
    )
    monkeypatch.setattr(gpu_listing, "survey", lambda: Survey((gpu,), "580.95.05", (13, 0)))


@pytest.fixture
def _cudnn_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put two libraries at hand, one of them too old to be asked, and torch 2.12."""
    libraries = (
        CudnnLibrary("9.26.0.51", Path("/opt/venv/nvidia/cudnn/lib/libcudnn.so.9"), "package", 13),
        CudnnLibrary("9.20.0.48", Path("/opt/cudnn/nvidia/cudnn/lib/libcudnn.so.9"), PATH_VARIABLE, 13),
        CudnnLibrary("9.1.0", Path("/usr/lib/x86_64-linux-gnu/libcudnn.so.9"), "system", None),
    )
    monkeypatch.setattr(cudnn_listing, "find_libraries", lambda: libraries)
    monkeypatch.setattr(cudnn_listing, "find_frontend", lambda: Path("frontend"))
    for module in (cudnn_listing, targets):
        monkeypatch.setattr(module, "installed_version", lambda _: "2.12.1+cu130")


@pytest.fixture
def _recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave an event file in the working folder: a run that agrees, and one that parts from the simulator."""
    monkeypatch.chdir(tmp_path)
    weights: list[list[Any]] = [["s", 20 * MIB, BASE], ["a", 3 * MIB, BASE]]
    step: list[list[Any]] = [["a", 2 * MIB, BASE + 3 * MIB], ["f", 2 * MIB, BASE + 3 * MIB]]
    rows = (
        {"config": {"net": "tiny", "batch": 2}, "events": [*weights, *step], "marks": [["model", 2]]},
        {
            "config": {"net": "tiny", "capacity_gib": 4},
            "fails": {"events": [*weights, ["a", 2 * MIB, BASE + 4 * MIB], ["o", 40 * MIB, None]]},
        },
    )
    with gzip.open("events.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.mark.usefixtures("_gpu_here", "_cudnn_at_hand", "_recording")
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    ("name", "words"),
    [("gpus", "gpus rtx 3060"), ("cudnn-list", "cudnn list"), ("replay", "replay events.jsonl.gz")],
)
def test_every_form(name: str, words: str, form: Form, golden: Golden, capsys: Captured) -> None:
    assert run([*words.split(), "--format", form.value]) == 0
    golden(f"{name}.{SUFFIX[form]}", capsys.readouterr().out)


def test_a_real_recording_agrees_in_every_address_and_segment(
    golden: Golden, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(SNAPSHOTS)
    assert run(["replay", "transformer_training.pickle", "-o", str(tmp_path / "it.json")]) == 0
    result = json.loads((tmp_path / "it.json").read_text(encoding="utf-8"))
    assert (result["allocations"], result["addresses_matched"]) == (3505, 3505)
    assert (result["segments_recorded"], result["segments_matched"]) == (152, 152)
    assert (result["complete"], result["disagreement"]) == (True, None)
    assert capsys.readouterr() == ("", "")
    assert run(["replay", "transformer_training.pickle"]) == 0
    golden("replay-transformer.txt", capsys.readouterr().out)


@pytest.mark.usefixtures("_gpu_here")
@pytest.mark.parametrize("words", [["rtx", "3060", "ti"], ["RTX 3060 Ti"], ["3060ti"]])
def test_a_pattern_may_be_one_word_or_several(words: list[str], capsys: Captured) -> None:
    assert run(["gpus", *words, "--format", "json"]) == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    assert device["name"] == "GeForce RTX 3060 Ti"


class _Hostile:
    """Pickled, it asks for a command to be run where it is read."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch owned",)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gpus rtx 3O60", "unknown GPU 'rtx 3O60'; the nearest are 'GeForce RTX 3060 12GB'"),
        ("gpus no-such-gpu", "unknown GPU 'no-such-gpu'"),
        ("gpus nowhere.yaml", "cannot read nowhere.yaml: No such file"),
        ("cudnn lst", "No such command 'lst'"),
        ("cudnn list 9.19", "unexpected extra argument"),
        ("replay", "Missing argument 'FILE'"),
        ("replay nowhere.pickle", "nowhere.pickle: No such file"),
        ("replay .", ".: not a file; name a pickled snapshot or a gzipped event file"),
        ("replay hostile.pickle", "hostile.pickle: pickle operation STACK_GLOBAL is refused"),
        ("replay cut.pickle", "cut.pickle: cut short"),
        ("replay other.pickle", "other.pickle: the snapshot must be a dictionary, not list"),
        ("replay text.txt", "text.txt: "),
        ("replay huge.pickle", "huge.pickle: 2147483648 bytes are more than the 1073741824"),
        ("replay events.gz", "events.gz: not a whole gzip file"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_exit_2_with_one_line(
    words: str, expected: str, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hostile.pickle").write_bytes(pickle.dumps(_Hostile()))
    Path("cut.pickle").write_bytes((SNAPSHOTS / "transformer_training.pickle").read_bytes()[:100_000])
    Path("other.pickle").write_bytes(pickle.dumps([1, 2]))
    Path("text.txt").write_text("not a pickle\n")
    Path("events.gz").write_bytes(gzip.compress(b"{}" * 1000)[:-4])
    with Path("huge.pickle").open("wb") as file:
        file.truncate(2**31)
    assert run(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert [line for line in err.splitlines() if line.startswith("Error: ")] == [err.splitlines()[-1]]
    assert not Path("owned").exists()


def test_a_place_without_cudnn_is_named(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "/nowhere")
    assert run(["cudnn", "list"]) == 2
    assert "/nowhere: no cuDNN 9 here" in capsys.readouterr().err


def test_options_of_a_command_in_a_command_come_from_the_environment(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VGGPROF_CUDNN_LIST_FORMAT", "json")
    assert run(["cudnn", "list"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == "cudnn list"


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """Neither by the help nor for the answer: not cuDNN either, which is only looked for."""
    commands = (["gpus", "--help"], ["gpus", "a100"], ["cudnn", "list"], ["replay", "a.pickle"])
    event = {"action": "segment_alloc", "addr": BASE, "size": 2 * MIB, "stream": 0}
    snapshot = {"segments": [], "device_traces": [[event, {**event, "action": "segment_free"}]]}
    (tmp_path / "a.pickle").write_bytes(pickle.dumps(snapshot))
    code = (
        "import sys; from vggprof.cli.run import run;"
        f"codes = [run(words) for words in {commands!r}]; print(codes, *sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0]"
