"""Pickles of plain data are read; nothing else is, and nothing runs."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof.errors import FileFormatError
from vggprof.memory.replay import load_plain
from vggprof.memory.replay.unpickle import MAX_FILE_BYTES, load_plain_bytes

SNAPSHOT = Path(__file__).parents[1] / "data" / "snapshots" / "transformer_training.pickle"
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**900), 2**900),
    st.floats(allow_nan=False),
    st.text(max_size=300),
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
    ),
    max_leaves=20,
)


@settings(deadline=None)  # a busy machine is no failure
@given(PLAIN, st.integers(0, 5))
def test_reads_what_pickle_writes(data: object, protocol: int) -> None:
    assert load_plain_bytes(pickle.dumps(data, protocol), "it") == data


@pytest.mark.parametrize("protocol", range(6))
def test_shared_things_stay_shared(protocol: int) -> None:
    frames = [{"name": "forward", "line": 3}]
    read = load_plain_bytes(pickle.dumps({"a": frames, "b": frames}, protocol), "it")
    assert read == {"a": frames, "b": frames}
    assert read["a"] is read["b"]


def test_agrees_with_pickle_on_a_recorded_snapshot() -> None:
    assert load_plain(SNAPSHOT) == pickle.loads(SNAPSHOT.read_bytes())


class Hostile:
    """Unpickling this calls os.system."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch vggprof_was_here",)


@pytest.mark.parametrize("protocol", range(6))
def test_runs_nothing(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pickle"
    path.write_bytes(pickle.dumps({"segments": [], "device_traces": [[Hostile()]]}, protocol))
    with pytest.raises(
        FileFormatError, match=r"hostile\.pickle: pickle operation \w*GLOBAL is refused"
    ) as refused:
        load_plain(path)
    assert "\n" not in str(refused.value)
    assert [each.name for each in tmp_path.iterdir()] == ["hostile.pickle"]


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 2_000))
def test_every_cut_is_noticed(length: int) -> None:
    whole = pickle.dumps({"segments": [{"address": n, "size": 2**40} for n in range(60)], "t": ("x", 1.5)})
    with pytest.raises(FileFormatError, match=r"^it: "):
        load_plain_bytes(whole[: min(length, len(whole) - 1)], "it")


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        load_plain_bytes(data, "it")
    except FileFormatError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a whole pickle"),
        (b"PK\x03\x04", "pickle operation PERSID is refused"),  # a zip file, torch.save's form
        (b"\x80\x09.", "pickle protocol 9 is not known"),
        (b"\xff", "no operation has the code 255"),
        (b"\x80\x04\x8f.", "pickle operation EMPTY_SET is refused"),
        (b"\x80\x04K\x01K\x02.", "leaves things unfinished"),
        (b"\x80\x04e.", "ends what it has not begun"),
        (b"\x80\x04K\x01(0", "refused"),
        (b"\x80\x04(\x85.", "takes from below a mark"),
        (b"\x80\x04K\x01K\x02a.", "adds to something that is no list"),
        (b"\x80\x04}K\x01\x85K\x02s.", "a dictionary key of type tuple"),
        (b"\x80\x04}(K\x01u.", "a key without a value"),
        (b"\x80\x04h\x05.", "recalls number 5, which it has not kept"),
        (b"\x80\x04B\xff\xff\xff\x7fabc.", "cut short: 2147483647 bytes announced, 4 left"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "cut short: a frame of"),
        (b"\x80\x04\x8c\x02\xff\xfe.", "a text is not UTF-8"),
        (b"I12x\n.", "'12x' is not a whole number"),
        (b"Fhigh\n.", "'high' is not a number"),
        (b"Np99999999999\n.", "is not the number of something kept"),
        (b"\x80\x04" + b"(" * 300, "nested more than 256 levels deep"),
    ],
)
def test_says_what_is_wrong(data: bytes, said: str) -> None:
    with pytest.raises(FileFormatError) as refused:
        load_plain_bytes(data, "it")
    assert said in str(refused.value)
    assert str(refused.value).startswith("it: ")


def test_a_huge_memo_number_takes_no_memory() -> None:
    assert load_plain_bytes(b"\x80\x04Nr\xff\xff\xff\xff.", "it") is None


def test_tuples_in_tuples_are_never_hashed() -> None:
    """Each level holds the one below twice: 2^60 hashes, were such a thing a dictionary's key."""
    level = b"\x80\x04)\x94" + b"".join(b"h" + bytes([n]) + b"\x86\x94" for n in range(60))
    with pytest.raises(FileFormatError, match="a dictionary key of type tuple"):
        load_plain_bytes(b"\x80\x04}" + level[2:] + b"N" + b"s.", "it")


def test_files_that_are_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        load_plain(tmp_path / "none.pickle")
    with pytest.raises(FileFormatError, match="Is a directory"):
        load_plain(tmp_path)
    large = tmp_path / "large.pickle"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse
    with pytest.raises(FileFormatError, match=r"large\.pickle: 1073741825 bytes are more than"):
        load_plain(large)


def test_numbers_too_long_to_be_read() -> None:
    digits = b"9" * (sys.get_int_max_str_digits() + 1)
    with pytest.raises(FileFormatError, match="is not a whole number"):
        load_plain_bytes(b"I" + digits + b"\n.", "it")
