"""cuDNN's answers on disk: found again, kept apart, and never in the way."""

import sqlite3
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from vggprof.memory.workspaces import store
from vggprof.memory.workspaces.plans import Plan

PLANS = (
    Plan("eng38_k2=4", 411_189_264, ("TENSOR_CORE",), fallback=False),
    Plan("eng0", 0, ("STRICT_NAN_PROP",), fallback=True),
)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VGGPROF_CACHE_DIR", str(tmp_path))
    return tmp_path / store.FILE


def test_what_is_kept_is_found_in_its_context_alone() -> None:
    store.keep("9.26 3060", {"a": PLANS, "b": ()})
    assert store.find("9.26 3060", ["a", "b", "c"]) == {"a": PLANS, "b": ()}
    assert store.find("9.19 3060", ["a", "b", "c"]) == {}
    assert store.find("9.26 3060", []) == {}


def test_more_keys_than_sqlite_takes_at_once() -> None:
    answers = {str(number): PLANS[:1] for number in range(2500)}
    store.keep("context", answers)
    assert store.find("context", [*answers, "another"]) == answers


def test_later_answers_replace_earlier_ones() -> None:
    store.keep("context", {"a": PLANS})
    store.keep("context", {"a": PLANS[:1]})
    assert store.find("context", ["a"]) == {"a": PLANS[:1]}


def test_nothing_is_kept_where_the_cache_is_off(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGGPROF_NO_CACHE", "1")
    store.keep("context", {"a": PLANS})
    assert store.find("context", ["a"]) == {}
    assert not file.exists()


def test_looking_for_something_makes_no_file(file: Path) -> None:
    assert store.find("context", ["a"]) == {}
    assert not file.exists()


@pytest.mark.parametrize("content", [b"", b"no database " * 100, b"SQLite format 3\x00" * 100])
def test_a_damaged_file_finds_nothing_and_is_replaced(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert store.find("context", ["a"]) == {}
    store.keep("context", {"a": PLANS})
    assert store.find("context", ["a"]) == {"a": PLANS}


def test_a_damaged_row_is_not_found(file: Path) -> None:
    store.keep("context", {"a": PLANS, "b": PLANS})
    with sqlite3.connect(file) as database:
        key, sealed = database.execute("SELECT key, plans FROM answers LIMIT 1").fetchone()
        database.execute("UPDATE answers SET plans = ? WHERE key = ?", (sealed[:-3] + b"9,]", key))
    database.close()
    assert len(store.find("context", ["a", "b"])) == 1


def test_a_file_that_grew_too_large_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    store.keep("context", {"a": PLANS})
    monkeypatch.setattr(store, "MAX_BYTES", 100)
    store.keep("context", {"b": PLANS})
    assert store.find("context", ["a", "b"]) == {"b": PLANS}


def test_a_directory_that_is_none_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "file"
    place.write_text("")
    monkeypatch.setenv("VGGPROF_CACHE_DIR", str(place))
    store.keep("context", {"a": PLANS})
    assert store.find("context", ["a"]) == {}


def _keep_some(number: int) -> None:
    for turn in range(10):
        store.keep("context", {f"{number} {turn}": PLANS})


def test_writers_do_not_lose_each_others_answers() -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_keep_some, range(4)))
    keys = [f"{number} {turn}" for number in range(4) for turn in range(10)]
    assert store.find("context", keys) == dict.fromkeys(keys, PLANS)
