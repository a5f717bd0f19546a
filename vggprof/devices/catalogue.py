"""The catalogue: every GPU of ``catalogue.json`` as a value, read once, when first asked for.

The file is JSON, a device a line: its values have types, so one schema serves it and a user's own device
file, a device carries its measured totals with it, and a change is still a line of a diff.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from vggprof.devices.capability import capability_of
from vggprof.devices.device import Device, MeasuredTotal
from vggprof.devices.totals import measured_or_rule, total_by_rule

CATALOGUE: Final = Path(__file__).with_name("catalogue.json")


@cache
def devices() -> tuple[Device, ...]:
    """Return every GPU of the catalogue, oldest generation first."""
    rows = json.loads(CATALOGUE.read_text(encoding="utf-8"))["devices"]
    return tuple(device_of_row(row) for row in rows)


def device_of_row(row: Mapping[str, Any]) -> Device:
    """Return the device that *row* describes; *row* has been checked against ``device.schema.json``.

    Raises DeviceError when a value makes no sense, such as a compute capability nobody knows.
    """
    capability = capability_of(row["capability"])
    totals = tuple(MeasuredTotal(**total) for total in row.get("totals", ()))
    ecc = row.get("inline_ecc", False)
    rule = total_by_rule(row["memory_bytes"], row["memory_type"], capability=capability, inline_ecc=ecc)
    usable, usable_source = measured_or_rule(totals, rule)
    return Device(
        name=row["name"],
        torch_names=tuple(row.get("torch_names") or (row["name"],)),
        form=row.get("form", "desktop"),
        capability=capability,
        sm_count=row["sm_count"],
        base_khz=row.get("base_khz"),
        boost_khz=row["boost_khz"],
        tensor_khz=row.get("tensor_khz"),
        tensor_fma_per_sm=row.get("tensor_fma_per_sm"),
        tensor_fma_acc16_per_sm=row.get("tensor_fma_acc16_per_sm"),
        l2_bytes=row["l2_bytes"],
        memory_type=row["memory_type"],
        bus_bits=row["bus_bits"],
        memory_khz=row["memory_khz"],
        bandwidth_bytes_per_s=row["bandwidth_bytes_per_s"],
        memory_bytes=row["memory_bytes"],
        inline_ecc=ecc,
        usable=usable,
        usable_source=usable_source,
        totals=totals,
        tdp_w=row.get("tdp_w"),
        link=row.get("link"),
        plain=row.get("plain", False),
        source=row.get("source", "the device file"),
        note=row.get("note", ""),
    )
