"""The cache gives back what was stored or nothing, whatever happens to its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof import cache


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VGGPROF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("VGGPROF_NO_CACHE", raising=False)
    return tmp_path / "cache"


def only_entry(directory: Path) -> Path:
    (entry,) = (path for path in directory.rglob("*") if path.is_file())
    return entry


def test_nothing_is_there_at_first(directory: Path) -> None:
    assert cache.get("trace", "a") is None
    assert not directory.exists()


def test_what_was_put_is_got(directory: Path) -> None:
    cache.put("trace", "a", '{"x": 1}')
    cache.put("trace", "b", "other")
    cache.put("workspace", "a", "another kind")
    assert cache.get("trace", "a") == '{"x": 1}'
    assert cache.get("trace", "b") == "other"
    assert cache.get("workspace", "a") == "another kind"
    assert {path.parent.name for path in directory.rglob("*") if path.is_file()} == {"trace", "workspace"}


def test_a_second_put_replaces_the_first(directory: Path) -> None:
    cache.put("trace", "a", "old")
    cache.put("trace", "a", "new")
    assert cache.get("trace", "a") == "new"
    only_entry(directory)


def test_a_kind_is_a_word() -> None:
    with pytest.raises(ValueError, match="not a kind"):
        cache.put("../../etc", "a", "text")


@given(key=st.text(), text=st.text(st.characters()))
@settings(max_examples=50, deadline=None)  # files, on a machine that may be busy
def test_any_key_and_text_come_back(key: str, text: str) -> None:
    cache.put("trace", key, text)
    assert cache.get("trace", key) == text


def test_switched_off(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("trace", "a", "before")
    monkeypatch.setenv("VGGPROF_NO_CACHE", "1")
    assert cache.cache_directory() is None
    assert cache.get("trace", "a") is None
    cache.put("trace", "b", "text")
    monkeypatch.setenv("VGGPROF_NO_CACHE", "0")
    assert cache.get("trace", "a") == "before"
    assert cache.get("trace", "b") is None


def test_the_default_is_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VGGPROF_CACHE_DIR")
    found = cache.cache_directory()
    assert found is not None
    assert found.is_absolute()
    assert "vggprof" in found.parts


def test_every_truncation_is_a_miss(directory: Path) -> None:
    cache.put("trace", "a", "some text")
    entry = only_entry(directory)
    whole = entry.read_bytes()
    for length in range(len(whole)):
        entry.write_bytes(whole[:length])
        assert cache.get("trace", "a") is None, f"{length} of {len(whole)} bytes were believed"
    entry.write_bytes(whole)
    assert cache.get("trace", "a") == "some text"


def test_every_flipped_bit_is_a_miss(directory: Path) -> None:
    cache.put("trace", "a", "some text")
    entry = only_entry(directory)
    whole = entry.read_bytes()
    for position in range(len(whole)):
        entry.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert cache.get("trace", "a") is None, f"byte {position} was not checked"


def test_a_damaged_entry_is_replaced(directory: Path) -> None:
    cache.put("trace", "a", "some text")
    only_entry(directory).write_bytes(b"")
    cache.put("trace", "a", "some text")
    assert cache.get("trace", "a") == "some text"


def test_another_version_of_the_layout_is_a_miss(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("trace", "a", "some text")
    monkeypatch.setattr(cache, "MAGIC", b"vggprof-cache 2 ")
    assert cache.get("trace", "a") is None


def test_a_file_in_the_way_is_no_failure(directory: Path) -> None:
    directory.write_text("not a directory")
    cache.put("trace", "a", "text")
    assert cache.get("trace", "a") is None


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that even root cannot write")
def test_a_directory_that_cannot_be_written_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGGPROF_CACHE_DIR", "/proc/vggprof")
    cache.put("trace", "a", "text")
    assert cache.get("trace", "a") is None


def test_a_full_disk_is_no_failure_and_leaves_nothing(directory: Path) -> None:
    """A real limit on file size (setrlimit) makes the write fail half-way, as a full disk does."""
    pytest.importorskip("resource")
    script = (
        "import resource, signal, sys; from vggprof import cache\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "cache.put('trace', 'big', 'x' * 100_000)\n"
        "assert cache.get('trace', 'big') is None\n"
        "cache.put('trace', 'small', 'fits')\n"
        "assert cache.get('trace', 'small') == 'fits'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    only_entry(directory)


WRITER = """
import sys
from vggprof import cache
me = sys.argv[1]
seen = set()
for turn in range(200):
    cache.put("trace", "shared", me * (20_000 + turn))
    text = cache.get("trace", "shared")
    assert text is not None, "an entry that was written is gone"
    assert len(set(text)) == 1 and 20_000 <= len(text) < 20_200, "two writers were mixed"
    seen.add(text[0])
print("".join(sorted(seen)))
"""


def test_two_processes_write_the_same_entry_at_once(directory: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, me], stdout=subprocess.PIPE, text=True) for me in "ab"
    ]
    seen = [writer.communicate(timeout=120)[0].strip() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert "a" in seen[0]
    assert "b" in seen[1]
    assert cache.get("trace", "shared") in {"a" * 20_199, "b" * 20_199}
    only_entry(directory)  # no temporary file is left


def test_a_writer_killed_half_way_does_no_harm(directory: Path) -> None:
    """What is left is a temporary file, which no reader sees and eviction removes."""
    cache.put("trace", "a", "text")
    script = (
        "import os; from pathlib import Path; from vggprof import cache\n"
        "Path.replace = lambda self, target: os._exit(9)\n"
        "cache.put('trace', 'a', 'never seen')\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 9
    assert cache.get("trace", "a") == "text"
    assert len([path for path in directory.rglob("*") if path.is_file()]) == 2


def test_the_least_recently_used_go_first(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are 100 bytes of text and an 81-byte head: five fit in 1000 bytes and a sixth (1086) does not.

    Then the oldest go until at most 750 are left: 1086 - 181 = 905, 905 - 181 = 724, so two go.
    """
    monkeypatch.setattr(cache, "MAX_TOTAL_BYTES", 1000)
    for age, key in enumerate("abcde"):
        cache.put("trace", key, key * 100)
        entry = max(directory.rglob("*.entry"), key=lambda path: path.stat().st_mtime_ns)
        assert entry.stat().st_size == 181
        os.utime(entry, (1_000_000 + age, 1_000_000 + age))
    assert cache.get("trace", "a") == "a" * 100  # used now, so b and c are the oldest
    cache.put("trace", "f", "f" * 100)
    there = {key for key in "abcdef" if cache.get("trace", key) is not None}
    assert there == {"a", "d", "e", "f"}


def test_what_a_killed_writer_left_is_evicted_too(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_TOTAL_BYTES", 1000)
    (directory / "trace").mkdir(parents=True)
    left = directory / "trace" / ".left.new"
    left.write_bytes(b"x" * 2000)
    os.utime(left, (1, 1))
    cache.put("trace", "a", "text")
    assert not left.exists()
    assert cache.get("trace", "a") == "text"


def test_a_giant_is_not_stored(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRY_BYTES", 10)
    cache.put("trace", "a", "x" * 11)
    assert not directory.exists()
    cache.put("trace", "a", "x" * 10)
    assert cache.get("trace", "a") == "x" * 10


def test_a_swollen_entry_is_not_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("trace", "a", "x" * 100)
    monkeypatch.setattr(cache, "MAX_ENTRY_BYTES", 10)
    assert cache.get("trace", "a") is None
