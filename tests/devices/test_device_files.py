"""Memory that somebody names, and devices from files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.devices import Range, custom_device, find_device, load_device, names_a_file
from vggprof.devices.catalogue import CATALOGUE
from vggprof.errors import DeviceError, FileFormatError, SpecError
from vggprof.units import GIB, parse_bytes

MINE = """\
name: Frobnicator 9
capability: "8.9"
sm_count: 24
boost_khz: 2460000
l2_bytes: 25165824
memory_type: GDDR6
bus_bits: 128
memory_khz: 8501000
bandwidth_bytes_per_s: 272000000000
memory_bytes: 8589934592
"""


def test_memory_on_top_of_a_card() -> None:
    card = find_device("RTX 3060")
    device = custom_device(parse_bytes("10.5GiB"), card)
    assert device.name == "GeForce RTX 3060 12GB with 10.50 GiB"
    assert device.usable == Range.exact(int(10.5 * GIB))
    assert (device.sm_count, device.capability, device.l2_bytes) == (
        card.sm_count,
        card.capability,
        card.l2_bytes,
    )


@pytest.mark.parametrize(
    ("gib", "like"), [(10.5, "GeForce RTX 3060 12GB"), (4, "GeForce GTX 1650"), (200, "H100 SXM5 80GB")]
)
def test_memory_alone_says_whose_the_rest_is(gib: float, like: str) -> None:
    device = custom_device(int(gib * GIB))
    assert device.name == f"{gib:.2f} GiB GPU"
    assert device.note == f"all but the memory is taken from the {like}"
    assert device.sm_count == find_device(like).sm_count


@pytest.mark.parametrize(
    ("memory_bytes", "says"),
    [
        (0, "cannot have 0 B"),
        (-GIB, "cannot have -1.00 GiB"),
        (5, "no GPU has 5 B of memory; give a size with its unit"),
        (64 * 2**20 - 1, "give a size with its unit"),
        (10 * 2**40 + 1, "no GPU has 10.00 TiB"),
    ],
)
def test_absurd_sizes(memory_bytes: int, says: str) -> None:
    for base in (None, find_device("T4")):
        with pytest.raises(DeviceError, match=says) as caught:
            custom_device(memory_bytes, base)
        assert "10.5GiB" in str(caught.value)


@given(st.integers(64 * 2**20, 10 * 2**40))
def test_every_other_size_is_taken_as_given(memory_bytes: int) -> None:
    assert custom_device(memory_bytes).usable == Range.exact(memory_bytes)


def test_a_device_from_yaml_and_from_json(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    device = load_device(tmp_path / "mine.yaml")
    assert (device.name, device.torch_name, device.architecture) == ("Frobnicator 9", "Frobnicator 9", "Ada")
    assert device.cuda_cores == 24 * 128
    assert device.usable.high < device.memory_bytes
    assert device.peak_flops("fp16") is None  # the file does not say
    fields = dict(line.split(": ", 1) for line in MINE.splitlines())
    as_json = {
        name: json.loads(value) if value[0] in '"123456789' else value for name, value in fields.items()
    }
    (tmp_path / "mine.json").write_text(json.dumps(as_json, indent="\t"))  # YAML would refuse the tabs
    assert load_device(str(tmp_path / "mine.json")) == device


def test_the_catalogues_rows_are_files_too(tmp_path: Path) -> None:
    rows = json.loads(CATALOGUE.read_text(encoding="utf-8"))["devices"]
    file = tmp_path / "row.json"
    for row in rows[::20]:
        file.write_text(json.dumps(row))
        assert load_device(file) == find_device(row["name"])


def test_all_problems_at_once_each_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: Mine\ncapabilty: '8.9'\nsm_count: many\nmemory_bytes: 0\n"
        "totals:\n  - bytes: 5\n    year: 2024\n"
    )
    with pytest.raises(SpecError) as caught:
        load_device(file)
    lines = str(caught.value).splitlines()
    assert lines[:3] == [
        f"{file}:1:1: capability is missing",
        f"{file}:1:1: boost_khz is missing",
        f"{file}:1:1: l2_bytes is missing",
    ]
    assert f"{file}:2:1: unknown field 'capabilty'; did you mean 'capability'?" in lines
    assert f"{file}:3:1: sm_count: input should be a valid integer, not 'many'" in lines
    assert f"{file}:4:1: memory_bytes: input should be greater than 0, not 0" in lines
    assert lines[-1] == f"{file}:6:5: totals.0.source is missing"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"8.9"', "8.9", "2:1: capability must be text; write it in quotes, not 8.9"),
        ('"8.9"', '"4.2"', "2:1: unknown compute capability 4.2; known: 3.0"),
        (
            "8589934592",
            "10995116277761",
            "10:1: memory_bytes: input should be less than or equal to 10995116277760",
        ),
        ("GDDR6", "DRAM", "6:1: memory_type: string should match pattern"),
        ("sm_count: 24", "sm_count: true", "3:1: sm_count: input should be a valid integer, not True"),
    ],
)
def test_senseless_values(tmp_path: Path, old: str, new: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE.replace(old, new))
    with pytest.raises(SpecError) as caught:
        load_device(file)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no fields"),
        (b"- 1\n", "holds no fields"),
        (b"a: [1", "line 1, column 6: expected ',' or ']'"),
        (b"a: 1\na: 2\n", "line 1: 'a' is given more than once"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"[" * 5000, "far more lists or mappings"),
        (b"- " * 5000, "nested too deeply"),
        (b"x: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        (b"a: &a [x]\nb: *b\n", "undefined alias"),
        (b"#" * 70000, "at most 65536"),
    ],
)
def test_files_that_are_no_device(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        load_device(file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_malformed_json(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"name": "x",}')
    with pytest.raises(FileFormatError, match="line 1 column 1"):
        load_device(tmp_path / "mine.json")
    with pytest.raises(FileFormatError, match=r"cannot read .*: Is a directory"):
        load_device(tmp_path)


@pytest.mark.parametrize(
    ("text", "is_file"), [("./my_gpu.yaml", True), ("GPU.JSON", True), ("RTX 3060", False)]
)
def test_what_names_a_file(text: str, *, is_file: bool) -> None:
    assert names_a_file(text) == is_file
