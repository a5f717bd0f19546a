"""`vggprof replay` under other settings, and what `vggprof memory` draws and writes, from words to files."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.memory.allocator import Alloc, Event, Free
from vggprof.memory.replay import predict_trace, write_snapshot
from vggprof.units import MIB

Captured = pytest.CaptureFixture[str]

# 30 and 40 MiB come and go, then 50 MiB need a segment of their own: 120 MiB reserved, 70 allocated at most.
GROWING: tuple[Event, ...] = (
    Alloc(1, 30 * MIB), Alloc(2, 40 * MIB), Free(1), Free(2), Alloc(3, 50 * MIB),
)  # fmt: skip
SPLIT: tuple[Event, ...] = (Alloc(1, 100 * MIB), Free(1), Alloc(2, 60 * MIB))
ALIKE: tuple[Event, ...] = (Alloc(1, 33 * MIB), Free(1), Alloc(2, 35 * MIB))
TRAINING = Path(__file__).parents[1] / "data" / "snapshots" / "transformer_training.pickle"


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU and no cuDNN to ask."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)


def asked(capsys: Captured, folder: Path, events: tuple[Event, ...], *words: str) -> dict[str, Any]:
    """The one run of what `vggprof replay` says of *events*, recorded under torch's defaults."""
    file = folder / "run.pickle"
    write_snapshot(file, predict_trace(events).trace)
    assert run(["replay", str(file), *words, "--format", "json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["runs"]
    assert isinstance(only, dict)
    return only


def reserved(run: dict[str, Any]) -> tuple[int, int]:
    """MiB reserved at most, as recorded and as changed."""
    return tuple(run[which]["stats"]["peak_reserved_bytes"] // MIB for which in ("recorded", "changed"))


def test_expandable_segments(capsys: Captured, tmp_path: Path) -> None:
    """30 and 40 MiB are mapped in 4 pages of 20, and 50 MiB fit into their 70."""
    found = asked(capsys, tmp_path, GROWING, "--expandable-segments")
    assert reserved(found) == (120, 80)
    assert found["recorded"]["fragmentation_bytes"] == 50 * MIB
    assert found["changed"]["fragmentation_bytes"] == 10 * MIB


def test_max_split_size(capsys: Captured, tmp_path: Path) -> None:
    """100 MiB come and go, then 60: with a limit of 50 MiB the cached 100 are 40 too many for it."""
    assert reserved(asked(capsys, tmp_path, SPLIT, "--max-split-size-mb", "50")) == (100, 160)


def test_roundup_power2_divisions(capsys: Captured, tmp_path: Path) -> None:
    """33 MiB come and go, then 35: in quarters of 32 MiB both are 40, and the second takes the first's."""
    assert reserved(asked(capsys, tmp_path, ALIKE, "--roundup-power2-divisions", "4")) == (70, 40)
    assert reserved(asked(capsys, tmp_path, ALIKE, "--roundup-power2-divisions", "[32:4,>:4]")) == (70, 40)


@pytest.mark.parametrize(
    ("size", "retries", "ooms"),
    # 30 + 40 + 50 MiB are 120; from 119 to 70 the cache goes first; at 69 the 40 beside the 30 are too many.
    [("120MiB", 0, 0), ("119MiB", 1, 0), ("70MiB", 1, 0), ("69MiB", 1, 1)],
)
def test_a_smaller_card(capsys: Captured, tmp_path: Path, size: str, retries: int, ooms: int) -> None:
    changed = asked(capsys, tmp_path, GROWING, "--gpu-memory", size)["changed"]
    assert (changed["stats"]["alloc_retries"], changed["stats"]["ooms"]) == (retries, ooms)
    if not ooms:
        assert changed["oom"] is None
        return
    assert changed["oom"]["event"] == 3  # its segment would have been entry 2
    assert changed["oom"]["requested_bytes"] == 40 * MIB
    assert "Tried to allocate 40.00 MiB. GPU 0 has a total capacity of 69.00 MiB" in changed["oom"]["message"]


def test_garbage_collection_works_only_below_a_limit(capsys: Captured, tmp_path: Path) -> None:
    """Of 180 MiB three quarters are 135, half of that 67.5: 70 are cached, and go before 50 are asked for."""
    limit = ("--allocator", "per_process_memory_fraction:0.75", "--gpu-memory", "180MiB")
    half = ("--garbage-collection-threshold", "0.5")
    assert reserved(asked(capsys, tmp_path, GROWING, *limit)) == (120, 120)
    assert reserved(asked(capsys, tmp_path, GROWING, *limit, *half)) == (120, 70)
    assert reserved(asked(capsys, tmp_path, GROWING, *half)) == (120, 120)
    assert run(["replay", str(tmp_path / "run.pickle"), *half]) == 0
    assert "garbage_collection_threshold does nothing without a memory limit" in capsys.readouterr().out


def test_allocator_replaces_what_was_recorded_and_options_change_it(capsys: Captured, tmp_path: Path) -> None:
    words = ("--allocator", "max_split_size_mb:50,expandable_segments:True")
    assert reserved(asked(capsys, tmp_path, SPLIT, "--allocator", "max_split_size_mb:50")) == (100, 160)
    assert reserved(asked(capsys, tmp_path, GROWING, *words)) == (120, 80)
    assert reserved(asked(capsys, tmp_path, GROWING, *words, "--no-expandable-segments")) == (120, 120)


def test_the_recorded_training_as_text(capsys: Captured) -> None:
    """6172 MiB were reserved: that much is enough, and 2 MiB less cost a retry."""
    for size, retries in (("6172MiB", 0), ("6170MiB", 1)):
        assert run(["replay", str(TRAINING), "--gpu-memory", size]) == 0
        (row,) = [text for text in capsys.readouterr().out.splitlines() if "changed  " in text]
        assert int(row.split()[-2]) >= retries
        assert (int(row.split()[-2]) == 0) == (retries == 0)
    assert run(["replay", str(TRAINING), "--gpu-memory", "4GiB"]) == 0
    text = capsys.readouterr().out
    assert "Where memory runs out" in text
    assert "CUDA out of memory. Tried to allocate " in " ".join(text.split())


def test_csv_is_two_rows_a_run(capsys: Captured, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "run.pickle", predict_trace(GROWING).trace)
    assert run(["replay", str(tmp_path / "run.pickle"), "--gpu-memory", "1GiB", "--format", "csv"]) == 0
    _, recorded, changed = capsys.readouterr().out.splitlines()
    assert recorded.startswith("device 0,recorded,")
    assert changed == recorded.replace("recorded", "changed")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--max-split-size-mb", "10"), "max_split_size_mb must be at least 20"),
        (("--max-split-size-mb", "many"), "max_split_size_mb needs a whole number, not 'many'"),
        (("--garbage-collection-threshold", "1.5"), "must lie between 0.0 and 1.0, not 1.5"),
        (("--roundup-power2-divisions", "3"), "takes powers of 2, not 3"),
        (("--allocator", "expandable:True"), "unknown option 'expandable'; did you mean"),
        (("--allocator", "backend:cudaMallocAsync"), "cudaMallocAsync is not modelled"),
        (("--allocator", "per_process_memory_fraction:0.5"), "give it with --gpu-memory"),
        (("--gpu-memory", "0"), "a GPU cannot have 0 B of memory"),
        (("--gpu-memory", "much"), "'much' is not a memory size"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...], expected: str, capsys: Captured, tmp_path: Path
) -> None:
    write_snapshot(tmp_path / "run.pickle", predict_trace(GROWING).trace)
    assert run(["replay", str(tmp_path / "run.pickle"), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert len(err.splitlines()) == 1


# vggprof memory -----------------------------------------------------------------------------------

LENET = ("memory", "lenet5", "--batch", "2", "--torch", "2.15")
CARD = ("--gpu", "h200")


def test_memory_writes_a_snapshot_a_picture_and_a_plot(capsys: Captured, tmp_path: Path) -> None:
    taken, drawn = tmp_path / "out.pickle", tmp_path / "out.svg"
    assert run([*LENET, *CARD]) == 0
    plain = capsys.readouterr().out
    assert run([*LENET, *CARD, "--plot", "--svg", str(drawn), "--snapshot", str(taken)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(plain)
    assert "lenet5: memory over the training, batch 2" in out.removeprefix(plain)
    assert ET.parse(drawn).getroot().tag.endswith("svg")
    assert run(["replay", str(taken), "--format", "json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["complete"] is True
    assert replayed["addresses_matched"] == replayed["allocations"] > 100


def test_the_same_question_writes_the_same_bytes(capsys: Captured, tmp_path: Path) -> None:
    first, second = tmp_path / "1.pickle", tmp_path / "2.pickle"
    for file in (first, second):
        assert run([*LENET, *CARD, "--snapshot", str(file)]) == 0
    capsys.readouterr()
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--plot",), "a snapshot or a plot needs a card, and no GPU is here; name one with --gpu"),
        (("--snapshot", "out.pickle"), "a snapshot or a plot needs a card"),
        ((*CARD, "--plot", "--format", "json"), "--plot is text and goes with a table"),
        ((*CARD, "--svg", "nowhere/out.svg"), "there is no folder nowhere"),
        ((*CARD, "--snapshot", "."), ". is a folder"),
        ((*CARD, "--svg", "-"), "standard output takes the result itself; name a file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_any_work(
    words: tuple[str, ...],
    expected: str,
    capsys: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*LENET, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert list(tmp_path.iterdir()) == []
