"""GPUs as text: those of the catalogue, and those of this machine."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, assert_never

from vggprof.forms import Form
from vggprof.units import format_bytes
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.here import here_json, say_here
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.phrases import plural
from vggprof.views.table import text_of

if TYPE_CHECKING:
    from vggprof.devices import Device, Range, Rate
    from vggprof.devices.listing import GpuListing, ListedGpu

# Up to so many GPUs, the text says what else is known of each; JSON says it of all.
EXPLAINED: Final = 6

_RATES: Final[tuple["Rate", ...]] = ("fp32", "fp16_vector", "tf32", "fp16", "bf16", "fp16_acc16")
_SHOWN_RATES: Final[tuple["Rate", ...]] = ("fp32", "tf32", "fp16", "bf16")
_COLUMNS = (
    Column("name", Unit.TEXT),
    Column("generation", Unit.TEXT),
    Column("capability", Unit.SAID),
    Column("SMs", Unit.EXACT),
    Column("memory", Unit.BYTES),
    Column("usable", Unit.BYTES),
    Column("usable, range", Unit.SAID),
    Column("GB/s", Unit.EXACT),
    *(Column(rate, Unit.NUMBER) for rate in _SHOWN_RATES),
    Column("L2", Unit.BYTES),
)
_HOW = (
    "Usable is the total that torch sees before any process takes memory: the likely value, and the range it "
    "lies in where it is not known to the byte. Its source is in JSON.",
    "Bandwidth is as published. Peaks are dense, two operations a multiply-add: fp32 on the ordinary lanes "
    "at the boost clock, the others on tensor cores with fp32 accumulation, as PyTorch asks for; a dash "
    "where there are none for that type.",
    "There are NVIDIA's GPUs only. A GPU of yours can be described in a file and named by its path.",
)


def devices(listing: "GpuListing", form: Form) -> str:
    """Return *listing* in *form*.

    As a table it begins like this::

    GPUs that fit 'rtx 3060 ti'

    No GPU here: no NVIDIA driver is installed (its library libnvidia-ml is missing)
    1 GPU fits

    name                 generation  capability  SMs    memory    usable  usable, range  GB/s  fp32 TFLOP/s
    -------------------  ----------  ----------  ---  --------  --------  -------------  ----  ------------
    GeForce RTX 3060 Ti  Ampere             8.6   38  8.00 GiB  7.65 GiB      7.65-7.79   448         16.20
    """
    match form:
        case Form.TABLE:
            return text_of(devices_document(listing))
        case Form.MARKDOWN:
            return markdown_of(devices_document(listing))
        case Form.CSV:
            rows = [_numbers(one.device) for one in listing.found]
            return csv_of(tuple(rows[0]), (tuple(row.values()) for row in rows))
        case Form.JSON:
            return json_of("gpus", _result(listing))
        case _:
            assert_never(form)


def devices_document(listing: "GpuListing") -> Document:
    """Return what people read of *listing*."""
    found = listing.found
    title = f"GPUs that fit {listing.pattern!r}" if listing.pattern else "GPUs"
    count = f"{plural(len(found), 'GPU')} {'fits' if len(found) == 1 else 'fit'}"
    count = count if listing.pattern else f"{plural(len(found), 'GPU')} in the catalogue"
    notes = tuple(_notes(found)) if len(found) <= EXPLAINED else ()
    blocks: tuple[Block, ...] = (
        Lines((*say_here(listing.here), count)),
        Table("Bandwidth in GB/s, peaks in TFLOP/s", _COLUMNS, tuple(_row(one.device) for one in found)),
        *((Notes("About them", notes),) if notes else ()),
        Notes("How to read this", _HOW),
    )
    return Document(title, blocks)


def _row(device: "Device") -> tuple[Cell, ...]:
    rates = (device.peak_flops(rate) for rate in _SHOWN_RATES)
    return (
        device.name,
        device.architecture,
        device.capability_text,
        device.sm_count,
        device.memory_bytes,
        device.usable.likely,
        say_range(device.usable),
        round(device.bandwidth_bytes_per_s / 1e9),
        *(None if rate is None else rate / 1e12 for rate in rates),
        device.l2_bytes,
    )


def say_range(range_: "Range") -> str | None:
    """Return the ends of a range of bytes, ``7.65 to 7.79 GiB``; None where it is one number."""
    if range_.is_exact:
        return None
    low, high = format_bytes(range_.low), format_bytes(range_.high)
    number, _, unit = low.partition(" ")
    return f"{number if high.endswith(unit) else low} to {high}"


def _notes(found: tuple["ListedGpu", ...]) -> Iterator[str]:
    """Yield for each GPU where its usable memory comes from, and what else is worth knowing."""
    for one in found:
        same = f"torch shows the same name for {', '.join(one.variants)}" if one.variants else ""
        parts = (f"usable memory {one.device.usable_source}", same, one.device.note)
        yield f"{one.device.name}: {'; '.join(filter(None, parts))}."


def _numbers(device: "Device") -> dict[str, Cell]:
    """Return what CSV and JSON say alike, by name."""
    return {
        "name": device.name,
        "form": device.form,
        "architecture": device.architecture,
        "capability": device.capability_text,
        "sm_count": device.sm_count,
        "cuda_cores": device.cuda_cores,
        "base_khz": device.base_khz,
        "boost_khz": device.boost_khz,
        "tensor_khz": device.tensor_khz,
        "memory_khz": device.memory_khz,
        "memory_type": device.memory_type,
        "bus_bits": device.bus_bits,
        "bandwidth_bytes_per_s": device.bandwidth_bytes_per_s,
        **{f"{rate}_flops_per_s": device.peak_flops(rate) for rate in _RATES},
        "l2_bytes": device.l2_bytes,
        "memory_bytes": device.memory_bytes,
        "inline_ecc": device.inline_ecc,
        "usable_bytes": device.usable.likely,
        "usable_bytes_low": device.usable.low,
        "usable_bytes_high": device.usable.high,
        "usable_source": device.usable_source,
        "tdp_w": device.tdp_w,
        "link": device.link,
    }


def _result(listing: "GpuListing") -> dict[str, Json]:
    return {
        "pattern": listing.pattern or None,
        "here": here_json(listing.here),
        "devices": [_device_json(one) for one in listing.found],
    }


def _device_json(one: "ListedGpu") -> dict[str, Json]:
    device = one.device
    return {
        **_numbers(device),
        "torch_names": device.torch_names,
        "variants": one.variants,
        "totals": [asdict(total) for total in device.totals],
        "source": device.source,
        "note": device.note or None,
    }
