"""The form of a device in a file: one line of ``catalogue.json``, or a file of the user's own.

``device.schema.json`` is this model's JSON Schema. The catalogue is checked against it by a test and read
without it; only a device from a file needs it at run time, so nothing else imports this module: pydantic
takes long to load.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from vggprof.devices.device import MAX_MEMORY_BYTES, Form

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Positive = Annotated[int, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0, le=MAX_MEMORY_BYTES)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TotalRow(_Strict):
    """The total memory that a driver was seen to report."""

    bytes: Bytes = Field(description="what the driver reported")
    year: int = Field(ge=2006, le=2100, description="of the software that reported it")
    seen_by: Text = Field(description="the software that reported it, and its version")
    source: Text = Field(description="where the report was found")


class DeviceRow(_Strict):
    """One NVIDIA GPU. Bytes, kHz and bytes per second are whole numbers."""

    name: Text = Field(description="how we call it, unlike any other")
    torch_names: tuple[Text, ...] = Field(
        (), strict=False, description="what torch shows; left out, the name"
    )
    form: Form = Field("desktop", description="where it is built in")
    capability: str = Field(pattern=r"^\d{1,2}\.\d$", description='compute capability, "8.6"')
    sm_count: Positive = Field(description="streaming multiprocessors")
    base_khz: Positive | None = Field(None, description="base clock")
    boost_khz: Positive = Field(description="boost clock, CUDA's clockRate")
    tensor_khz: Positive | None = Field(None, description="boost clock of tensor-core work, where it differs")
    tensor_fma_per_sm: Positive | None = Field(
        None, description="fp16 multiply-adds a clock of an SM's tensor cores, fp32 accumulation"
    )
    tensor_fma_acc16_per_sm: Positive | None = Field(None, description="the same with fp16 accumulation")
    l2_bytes: Positive = Field(description="L2 cache")
    memory_type: str = Field(pattern=r"^(LPDDR|GDDR|HBM)\d", description='"GDDR6X", "HBM3"')
    bus_bits: Positive = Field(description="width of the memory bus")
    memory_khz: Positive = Field(description="memory clock, CUDA's memoryClockRate: half a pin's data rate")
    bandwidth_bytes_per_s: Positive = Field(description="published memory bandwidth")
    memory_bytes: Bytes = Field(description="nominal memory")
    inline_ecc: bool = Field(False, description="ECC is on by default and takes 1/16 of the memory")
    totals: tuple[TotalRow, ...] = Field(
        (), strict=False, description="totals drivers reported, oldest first"
    )
    tdp_w: Positive | None = Field(None, description="power limit in watts")
    link: Text | None = Field(None, description='host link, "4.0 x16" or "SXM4"')
    plain: bool = Field(False, description="meant by a name that leaves out memory size or board")
    source: Text = Field("the device file", description="where the figures come from")
    note: str = Field("", description="what else is worth knowing")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a device; ``device.schema.json`` holds it."""
    return {"$schema": _DIALECT, **DeviceRow.model_json_schema()}
