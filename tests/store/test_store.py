"""Runs that are kept: what comes back, and what of a file on disk is refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from measurement_made import on_cpu

from vggprof import store
from vggprof.errors import FileFormatError, UsageError
from vggprof.store.database import APPLICATION_ID, SCHEMA_VERSION
from vggprof.store.words import names


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "runs.sqlite"


def test_what_is_kept_comes_back(path: Path) -> None:
    first, second = on_cpu(2), on_cpu(4, step=(20.0, 30.0))
    kept = [store.add(each, path) for each in (first, second)]
    assert [store.get(name, path) for name in kept] == [first, second]
    run = store.list_runs(path)[1]
    assert (run.name, run.arch, run.batch, run.mode) == (kept[1], "lenet5", 4, "train")
    assert (run.status, run.device_name, run.torch) == ("ok", "a CPU", "2.15.0")
    assert (run.step_ms, run.peak_allocated_bytes) == (25.0, None)


def test_nothing_is_kept_before_the_first_and_looking_makes_nothing(path: Path) -> None:
    assert store.list_runs(path) == ()
    with pytest.raises(UsageError, match="no run 'shy-otter' is kept"):
        store.get("shy-otter", path)
    assert not path.parent.exists()


def test_deleting_is_all_or_nothing(path: Path) -> None:
    kept = [store.add(on_cpu(batch), path) for batch in (1, 2, 3)]
    with pytest.raises(UsageError, match="no run 'shy-otter' is kept"):
        store.delete([kept[0], "shy-otter"], path)
    assert [run.name for run in store.list_runs(path)] == kept
    store.delete([kept[2], kept[0], kept[0]], path)
    assert [run.batch for run in store.list_runs(path)] == [2]


def test_a_slip_of_the_keys_gets_the_nearest_name(path: Path) -> None:
    name = store.add(on_cpu(), path)
    with pytest.raises(UsageError, match=f"did you mean '{name}'"):
        store.get(name[:-1], path)


def test_names_are_short_and_never_used_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggprof.store.words._HOW", "brisk")
    monkeypatch.setattr("vggprof.store.words._WHO", "otter")
    kept = [store.add(on_cpu(), path) for _ in range(3)]
    assert kept == ["brisk-otter", "brisk-otter-2", "brisk-otter-3"]
    store.delete(["brisk-otter-2"], path)
    assert store.add(on_cpu(), path) == "brisk-otter-2"


def test_words_are_words() -> None:
    name = next(names())
    assert name.isascii()
    assert len(name) <= 20
    assert all(part.isalpha() for part in name.split("-"))


def test_the_users_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VGGPROF_DATA_DIR", str(tmp_path / "mine"))
    name = store.add(on_cpu())
    assert [run.name for run in store.list_runs()] == [name]
    assert (tmp_path / "mine" / "runs.sqlite").is_file()
    monkeypatch.delenv("VGGPROF_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store.store_path().parent.name == "vggprof"


def test_readers_and_writers_do_not_wait_for_each_other(path: Path) -> None:
    store.add(on_cpu(), path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


def refused(path: Path, complaint: str) -> None:
    """Expect every use of the store to be refused, and the file to be as it was."""
    before = path.read_bytes()
    name = "shy-otter"
    for use in (
        lambda: store.list_runs(path),
        lambda: store.get(name, path),
        lambda: store.add(on_cpu(), path),
        lambda: store.delete([name], path),
    ):
        with pytest.raises(UsageError, match=complaint) as error:
            use()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_a_newer_store_is_left_alone(path: Path) -> None:
    store.add(on_cpu(), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
        connection.execute("pragma journal_mode = delete")
    refused(
        path, rf"kept by a newer vggprof \(layout {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}\)"
    )


def test_another_programs_file_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table mine (x)")
    refused(path, "another program's SQLite file")


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but something dear to somebody" * 100)
    refused(path, "damaged and was left as it is")


def test_a_truncated_store_is_left_alone(path: Path) -> None:
    for batch in range(1, 40):
        store.add(on_cpu(batch), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
    refused(path, "damaged and was left as it is")


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_store_with_a_page_overwritten_is_not_written_to(path: Path, page: int) -> None:
    for batch in range(1, 40):
        store.add(on_cpu(batch), path)
    content = bytearray(path.read_bytes())
    assert len(content) > 5 * 4096
    content[4096 * page : 4096 * (page + 1)] = b"\xa5" * 4096
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged and was left as it is"):
        store.add(on_cpu(), path)
    with pytest.raises(FileFormatError, match="damaged and was left as it is"):
        store.delete(["shy-otter"], path)
    assert path.read_bytes() == content


def test_a_run_whose_text_is_damaged_is_named(path: Path) -> None:
    name = store.add(on_cpu(), path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update runs set measurement = substr(measurement, 1, 50)")
        connection.commit()
    with pytest.raises(FileFormatError, match=f"{name}: not whole JSON"):
        store.get(name, path)
    assert len(store.list_runs(path)) == 1


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert store.list_runs(path) == ()
    store.add(on_cpu(), path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="the store of runs cannot be used"):
        store.add(on_cpu(), tmp_path / "file" / "runs.sqlite")
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(UsageError, match="the store of runs cannot be used"):
        store.add(on_cpu(), tmp_path / "folder.sqlite")
