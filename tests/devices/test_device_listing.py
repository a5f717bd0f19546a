"""The GPUs that a pattern finds."""

import json
from pathlib import Path

import pytest

from vggprof.devices import Survey, devices, listing
from vggprof.devices.listing import list_gpus
from vggprof.errors import DeviceError, FileFormatError

HERE = Survey((), reason="a test")


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "survey", lambda: HERE)


@pytest.mark.parametrize("pattern", ["", "  "])
def test_without_a_pattern_all_are_found(pattern: str) -> None:
    found = list_gpus(pattern)
    assert (found.pattern, found.here) == ("", HERE)
    assert tuple(one.device for one in found.found) == devices()


def test_words_find_every_gpu_that_has_them_all() -> None:
    names = [one.device.name for one in list_gpus("ampere laptop 8.6").found]
    assert "GeForce RTX 3060 Laptop" in names
    assert all("Laptop" in name for name in names)
    assert len(names) > 3


def test_a_name_that_no_words_find_is_looked_up_as_one() -> None:
    """Nothing is called 2070s, but everybody says so."""
    assert [one.device.name for one in list_gpus("2070s").found] == ["GeForce RTX 2070 Super"]


def test_others_of_the_same_name_are_told() -> None:
    by_name = {one.device.name: one.variants for one in list_gpus("3060").found}
    assert by_name["GeForce RTX 3060 12GB"] == ("GeForce RTX 3060 8GB",)
    assert by_name["GeForce RTX 3060 Ti"] == ()


@pytest.mark.parametrize("pattern", ["rtx 3O60", "geforse 3060 12gb"])
def test_what_nothing_fits_gets_the_nearest_names(pattern: str) -> None:
    with pytest.raises(DeviceError, match=r"unknown GPU .*; the nearest are 'GeForce RTX 3060 12GB'"):
        list_gpus(pattern)


def test_a_device_file_is_a_gpu_too(tmp_path: Path) -> None:
    row = {
        "name": "My GPU",
        "capability": "8.6",
        "sm_count": 20,
        "boost_khz": 1_500_000,
        "l2_bytes": 2**20,
        "memory_type": "GDDR6",
        "bus_bits": 128,
        "memory_khz": 7_000_000,
        "bandwidth_bytes_per_s": 224_000_000_000,
        "memory_bytes": 4 * 2**30,
    }
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(row))
    (mine,) = list_gpus(str(path)).found
    assert (mine.device.name, mine.variants) == ("My GPU", ())
    with pytest.raises(FileFormatError, match="cannot read"):
        list_gpus(str(tmp_path / "nowhere.yaml"))
