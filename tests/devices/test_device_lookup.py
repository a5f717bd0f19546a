"""Names as people write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.devices import (
    Device,
    devices,
    devices_named,
    find_device,
    resolve_device,
    search_devices,
    variants,
)
from vggprof.devices.lookup import find_with_others
from vggprof.errors import DeviceError

FOUND = {
    "RTX 3060": "GeForce RTX 3060 12GB",
    "rtx3060": "GeForce RTX 3060 12GB",
    "3060 12gb": "GeForce RTX 3060 12GB",
    "3060 8 GiB": "GeForce RTX 3060 8GB",
    "NVIDIA GeForce RTX 3060": "GeForce RTX 3060 12GB",
    "geforce-rtx-3080": "GeForce RTX 3080 10GB",
    "3080 12G": "GeForce RTX 3080 12GB",
    "3080 laptop": "GeForce RTX 3080 Laptop",
    "RTX 3080 Mobile": "GeForce RTX 3080 Laptop",
    "4070 ti super": "GeForce RTX 4070 Ti Super",
    "4070TiSuper": "GeForce RTX 4070 Ti Super",
    "4070 Ti": "GeForce RTX 4070 Ti",
    "4070": "GeForce RTX 4070",
    "2070s": "GeForce RTX 2070 Super",
    "1660": "GeForce GTX 1660",
    "titan x pascal": "TITAN X (Pascal)",
    "Titan X (Maxwell)": "GeForce GTX TITAN X (Maxwell)",
    "titanrtx": "TITAN RTX",
    "a100 40": "A100 SXM4 40GB",
    "a100 80gb pcie": "A100 PCIe 80GB",
    "A100-SXM4-80GB": "A100 SXM4 80GB",
    "h100": "H100 SXM5 80GB",
    "h100 pcie": "H100 PCIe 80GB",
    "h100 nvl": "H100 NVL 94GB",
    "NVIDIA H100 80GB HBM3": "H100 SXM5 80GB",
    "h200": "H200 SXM 141GB",
    "v100 32gb": "Tesla V100 SXM2 32GB",
    "t4": "Tesla T4",
    "l4": "L4",
    "l40": "L40",
    "a10": "A10",
    "a10g": "A10G",
    "a6000": "RTX A6000",
    "6000 ada": "RTX 6000 Ada",
    "quadro rtx 6000": "Quadro RTX 6000",
    "orin nx": "Jetson Orin NX 16GB",
    "5060ti 16gb": "GeForce RTX 5060 Ti 16GB",
    "4090 24gb": "GeForce RTX 4090",
}


@pytest.mark.parametrize("text", FOUND)
def test_names_people_write(text: str) -> None:
    assert find_device(text).name == FOUND[text]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a100", ["A100 PCIe 40GB", "A100 SXM4 40GB", "A100 PCIe 80GB", "A100 SXM4 80GB"]),
        ("titan x", ["GeForce GTX TITAN X (Maxwell)", "TITAN X (Pascal)"]),
        ("5060 ti", ["GeForce RTX 5060 Ti 8GB", "GeForce RTX 5060 Ti 16GB"]),
        ("rtx pro 6000", ["RTX PRO 6000 Blackwell Max-Q", "RTX PRO 6000 Blackwell Workstation"]),
    ],
)
def test_a_name_that_fits_several_lists_them(text: str, names: list[str]) -> None:
    with pytest.raises(DeviceError) as caught:
        find_device(text)
    listed = ", ".join(map(repr, names))
    assert str(caught.value) == f"{text!r} fits {len(names)} GPUs; write one of {listed}"


@pytest.mark.parametrize(
    ("text", "near"),
    [("RTX 3069", "GeForce RTX 3060 12GB"), ("GTX 1080i", "GeForce GTX 1080"), ("H800", "Quadro RTX 8000")],
)
def test_an_unknown_name_offers_the_nearest(text: str, near: str) -> None:
    with pytest.raises(DeviceError) as caught:
        find_device(text)
    assert str(caught.value).startswith(f"unknown GPU {text!r}; the nearest are ")
    assert repr(near) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [("RTX 9999", "RTX"), ("RTX 9999 24GB", "RTX"), ("Quadro 99", "Quadro"), ("Tesla 777", "Tesla")],
)
def test_a_name_that_is_near_to_none_offers_those_with_its_words(text: str, word: str) -> None:
    with pytest.raises(DeviceError) as caught:
        find_device(text)
    offered = re.findall("'([^']+)'", str(caught.value).removeprefix(f"unknown GPU {text!r}"))
    names = [name for name in offered if name != text]
    assert 3 <= len(names) <= 5
    assert all(word in name for name in names)
    assert set(names) <= {device.name for device in devices()}


def test_a_name_that_shares_no_word_offers_none() -> None:
    with pytest.raises(DeviceError) as caught:
        find_device("H999")
    assert str(caught.value) == "unknown GPU 'H999'; `vggprof gpus` lists all"


@pytest.mark.parametrize("text", ["", "   ", "geforce", "NVIDIA GPU", "40", "24 GB", "--"])
def test_words_that_name_nothing(text: str) -> None:
    with pytest.raises(DeviceError, match="names no GPU"):
        find_device(text)


def test_a_card_with_memory_it_never_had_is_unknown() -> None:
    with pytest.raises(DeviceError, match="unknown GPU 'RTX 4090 48GB'"):
        find_device("RTX 4090 48GB")


@st.composite
def _disguised(draw: st.DrawFn, name: str) -> str:
    """Draw *name* in any case, with any separators between its words, and vendor words around it."""
    parts = re.findall(r"[A-Za-z0-9]+", name.replace("Max-Q", "MaxQ"))
    separators = draw(st.sampled_from([" ", "-", "_", "", "  ", " - "]))
    cased = "".join(draw(st.sampled_from([char.lower(), char.upper()])) for char in separators.join(parts))
    prefix = draw(st.sampled_from(["", "NVIDIA ", "nvidia-", " ", "NVidia GeForce "]))
    return prefix + cased + draw(st.sampled_from(["", " GPU", " graphics card", " "]))


@given(st.sampled_from(devices()), st.data())
def test_every_name_finds_its_device_however_written(device: Device, data: st.DataObject) -> None:
    assert find_device(data.draw(_disguised(device.name))) == device


@given(st.sampled_from(devices()), st.data())
def test_every_torch_name_finds_a_device_of_that_name_or_lists_them(
    device: Device, data: st.DataObject
) -> None:
    torch_name = data.draw(st.sampled_from(device.torch_names))
    owners = devices_named(torch_name)
    assert device in owners
    written = data.draw(_disguised(torch_name))
    try:
        assert find_device(written) in owners
    except DeviceError as error:
        assert len(owners) > 1  # only then may it be ambiguous
        assert all(repr(owner.name) in str(error) for owner in owners)


@given(st.text(max_size=30))
def test_any_text_is_answered_with_a_device_or_one_line(text: str) -> None:
    try:
        assert find_device(text) in devices()
    except DeviceError as error:
        assert "\n" not in str(error)


def test_search() -> None:
    assert search_devices() == search_devices("  ") == devices()
    assert {device.name for device in search_devices("3060")} == {
        "GeForce RTX 3060 8GB", "GeForce RTX 3060 12GB", "GeForce RTX 3060 Ti", "GeForce RTX 3060 Laptop"
    }  # fmt: skip
    assert {device.architecture for device in search_devices("ada")} == {"Ada"}
    assert {device.capability for device in search_devices("sm_90")} == {(9, 0)}
    assert search_devices("8.0 40gb") == tuple(
        find_device(name) for name in ("A100 PCIe 40GB", "A100 SXM4 40GB")
    )
    assert [device.form for device in search_devices("Laptop blackwell")] == ["laptop"] * 5
    assert search_devices("rtx-4090") == search_devices("RTX4090") != ()
    assert search_devices("no such thing") == ()


def test_variants_are_what_torch_shows_under_the_same_name() -> None:
    small, large = find_device("RTX 3080 10GB"), find_device("RTX 3080 12GB")
    assert variants(small) == (large,)
    assert variants(large) == (small,)
    assert variants(find_device("T4")) == ()


def test_resolving_takes_a_name_or_a_file() -> None:
    assert resolve_device("t4") == find_device("t4")
    with pytest.raises(Exception, match=r"cannot read no_such\.yaml"):
        resolve_device("no_such.yaml")


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("RTX 3060", ["GeForce RTX 3060 8GB"]),
        ("3060", ["GeForce RTX 3060 8GB"]),
        ("h100", ["H100 PCIe 80GB", "H100 NVL 94GB"]),
        ("RTX 3060 12GB", []),
        ("3060 8GB", []),
        ("4090", []),  # the laptop's has another name
    ],
)
def test_a_name_that_fits_several_comes_with_the_others(text: str, others: list[str]) -> None:
    found, also = find_with_others(text)
    assert found == find_device(text)
    assert [device.name for device in also] == others
