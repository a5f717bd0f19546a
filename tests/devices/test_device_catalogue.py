"""The catalogue: every row of the promised form, its figures consistent, and as the data sheets have them."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vggprof.devices.catalogue
from vggprof.devices import Device, Range, devices, find_device, ladder
from vggprof.devices.device import Rate
from vggprof.devices.row import DeviceRow, schema
from vggprof.devices.totals import RULE_SOURCE, total_by_rule
from vggprof.errors import DeviceError
from vggprof.units import GIB, MIB

ROOM = Path(vggprof.devices.catalogue.__file__).parent
ROWS: list[dict[str, Any]] = json.loads((ROOM / "catalogue.json").read_text(encoding="utf-8"))["devices"]


def test_the_schema_file_is_the_models_schema() -> None:
    written = json.loads((ROOM / "device.schema.json").read_text(encoding="utf-8"))
    assert written == schema(), "write device.schema.json anew from vggprof.devices.row.schema()"


def test_every_row_satisfies_the_schema() -> None:
    assert len(ROWS) == 145
    for row in ROWS:
        DeviceRow.model_validate(row)


def test_the_catalogue_spans_what_it_promises() -> None:
    assert {device.architecture for device in devices()} == {
        "Kepler", "Maxwell", "Pascal", "Volta", "Turing", "Ampere", "Ada", "Hopper", "Blackwell"
    }  # fmt: skip
    forms = Counter(device.form for device in devices())
    assert set(forms) == {"desktop", "laptop", "workstation", "datacentre", "embedded"}
    assert min(forms.values()) >= 8


def test_names_tell_devices_apart() -> None:
    assert max(Counter(re.sub(r"\W", "", device.name).lower() for device in devices()).values()) == 1
    for device in devices():
        shared = [one for one in devices() if one.torch_name == device.torch_name]
        assert sum(one.plain for one in shared) <= 1


def test_the_memory_clock_times_the_bus_is_the_bandwidth() -> None:
    # Two transfers a clock. CUDA reports a clock that differs a little from the data sheet's: 4,004 for
    # 4,000 MHz, and 3,201 for 3,125 on an H200, the largest difference.
    for device in devices():
        computed = 2 * device.memory_khz * 1000 * device.bus_bits / 8
        assert computed == pytest.approx(device.bandwidth_bytes_per_s, rel=0.026), device.name


# Peaks in TFLOP/s from NVIDIA's data sheets and architecture white papers, dense.
PEAKS: list[tuple[str, Rate, float]] = [
    ("Tesla V100 SXM2 16GB", "fp32", 15.7),
    ("Tesla V100 SXM2 16GB", "fp16", 125),
    ("Tesla T4", "fp32", 8.1),
    ("Tesla T4", "fp16", 65),
    ("A100 SXM4 40GB", "fp32", 19.5),
    ("A100 SXM4 40GB", "tf32", 156),
    ("A100 SXM4 40GB", "bf16", 312),
    ("A100 SXM4 40GB", "fp16_vector", 78),
    ("A40", "fp16", 149.7),
    ("GeForce RTX 3090", "fp16", 71),
    ("GeForce RTX 3090", "fp16_acc16", 142),
    ("GeForce RTX 3090", "tf32", 35.6),
    ("GeForce RTX 4090", "fp32", 82.6),
    ("GeForce RTX 4090", "fp16", 165.2),
    ("L40S", "fp16", 362.05),
    ("H100 SXM5 80GB", "bf16", 989.4),
    ("H100 PCIe 80GB", "fp16", 756),
    ("H100 SXM5 80GB", "fp32", 67),
    ("GeForce RTX 5090", "fp16", 209.5),
]


@pytest.mark.parametrize(("name", "rate", "tflops"), PEAKS)
def test_peak_rates_are_the_data_sheets(name: str, rate: Rate, tflops: float) -> None:
    peak = find_device(name).peak_flops(rate)
    assert peak is not None
    assert peak / 1e12 == pytest.approx(tflops, rel=0.013)


def test_units_that_a_generation_lacks_have_no_peak() -> None:
    v100, p100, k80 = (find_device(name) for name in ("V100 16GB", "Tesla P100-PCIE-16GB", "K80"))
    assert v100.peak_flops("tf32") is v100.peak_flops("bf16") is None
    assert p100.peak_flops("fp16") is None
    fp32 = p100.peak_flops("fp32")
    assert fp32 is not None
    assert p100.peak_flops("fp16_vector") == 2 * fp32
    assert k80.peak_flops("fp16_vector") is None


# CUDA cores of NVIDIA's product pages.
@pytest.mark.parametrize(
    ("name", "cores"),
    [
        ("K80", 2496),
        ("980 Ti", 2816),
        ("1080 Ti", 3584),
        ("T4", 2560),
        ("A30", 3584),
        ("3060", 3584),
        ("H200", 16896),
    ],
)
def test_cuda_cores_follow_from_the_sms(name: str, cores: int) -> None:
    assert find_device(name).cuda_cores == cores


def test_tensor_cores_came_with_volta() -> None:
    for device in devices():
        has = device.tensor_fma_per_sm is not None
        assert has == (device.capability >= (7, 0) and "GTX 16" not in device.name), device.name
        if device.tensor_fma_per_sm is not None and device.tensor_fma_acc16_per_sm is not None:
            assert device.tensor_fma_acc16_per_sm in (device.tensor_fma_per_sm, 2 * device.tensor_fma_per_sm)


def test_a_measured_total_wins_and_the_range_holds_all_of_them() -> None:
    for device in devices():
        seen = [total.bytes for total in device.totals]
        if seen:
            assert device.usable.likely == seen[-1]
            assert all(total in device.usable for total in seen)
            assert device.usable_source.startswith("measured")
            assert [total.year for total in device.totals] == sorted(total.year for total in device.totals)
        else:
            assert device.usable_source == RULE_SOURCE
        assert device.usable.high <= device.memory_bytes


def test_the_rule_holds_every_total_that_was_measured() -> None:
    measured = [device for device in devices() if device.totals]
    assert len(measured) >= 75
    for device in measured:
        rule = total_by_rule(
            device.memory_bytes,
            device.memory_type,
            capability=device.capability,
            inline_ecc=device.inline_ecc,
        )
        for total in device.totals:
            assert total.bytes in rule, f"{device.name}: {total.bytes / MIB:.1f} MiB"


def test_the_rule_by_hand() -> None:
    # 8 GiB of GDDR6: the driver keeps 165 + 8 x 2.8 to 400 + 8 x 8 MiB, likely 320 + 8 x 6.5.
    rule = total_by_rule(8 * GIB, "GDDR6", capability=(8, 6), inline_ecc=False)
    assert rule == Range(8 * GIB - 464 * MIB, 8 * GIB - 372 * MIB, 8 * GIB - int(187.4 * MIB))
    # 16 GiB with inline ECC is 15 GiB; 16 GiB of GDDR7 is 80 MiB less.
    ecc = total_by_rule(16 * GIB, "GDDR6", capability=(7, 5), inline_ecc=True)
    assert ecc.likely == 15 * GIB - int((320 + 15 * 6.5) * MIB)
    gddr7 = total_by_rule(16 * GIB, "GDDR7", capability=(12, 0), inline_ecc=False)
    assert gddr7.likely == 16 * GIB - 80 * MIB - int((320 + 16 * 6.5) * MIB)


def test_a_card_last_measured_on_an_old_driver_may_have_lost_memory_since() -> None:
    # RTX 3080 Laptop: 16,125 MiB under R460; drivers since 2024 likely keep 320 + 16 x 6.5 = 424 MiB.
    device = find_device("3080 laptop")
    assert device.usable == Range((16384 - 424) * MIB, 16125 * MIB, 16125 * MIB)


# What torch says of these cards, in MiB.
@pytest.mark.parametrize(
    ("name", "usable"),
    [("RTX 3060", 11910), ("RTX 4090", 24081), ("T4", 14912), ("A100 SXM4 40GB", 40441), ("H200", 143156.89)],
)
def test_usable_totals(name: str, usable: float) -> None:
    assert find_device(name).usable.likely / MIB == pytest.approx(usable, abs=1)


def test_reserved_by_driver_is_what_is_not_usable() -> None:
    device = find_device("RTX 3060")
    assert device.reserved_by_driver == Range(
        device.memory_bytes - device.usable.high,
        device.memory_bytes - device.usable.likely,
        device.memory_bytes - device.usable.low,
    )


def test_figures_that_drivers_report_otherwise_than_tables() -> None:
    assert find_device("RTX 3060").l2_bytes == 2359296
    assert find_device("RTX 3060 Ti").l2_bytes == 3145728
    assert find_device("H200").l2_bytes == 60 * MIB
    assert find_device("H200").memory_khz == 3_201_000


def test_the_ladder_rises_from_4_to_80_gib_through_cards_cudnn_answers_for() -> None:
    cards = ladder()
    assert len(cards) == 8
    assert [card.memory_bytes for card in cards] == [gib * GIB for gib in (4, 6, 8, 12, 16, 24, 40, 80)]
    assert all(card.capability >= (7, 5) for card in cards)
    assert all(card.totals for card in cards)


@pytest.mark.parametrize(
    "change",
    [
        {"sm_count": 0},
        {"boost_khz": -1},
        {"memory_bytes": 0},
        {"memory_bytes": 11 * 2**40},
        {"usable": Range.exact(0)},
        {"capability": (1, 0)},
    ],
)
def test_a_device_that_exists_is_valid(change: dict[str, Any]) -> None:
    with pytest.raises(DeviceError):
        replace(devices()[0], **change)


def test_a_lookup_loads_nothing_slow() -> None:
    code = "import sys; from vggprof.devices import find_device; find_device('t4'); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "vggprof.devices.catalogue" in loaded
    assert not loaded & {"torch", "numpy", "pandas", "pydantic", "yaml", "pynvml", "rich"}


def test_devices_are_values() -> None:
    device: Device = find_device("T4")
    assert hash(device) == hash(replace(device))
    with pytest.raises(AttributeError):
        device.sm_count = 1  # type: ignore[misc]
