"""GPUs as values: the catalogue, lookup by name, and the GPU that is here."""

from vggprof.devices.capability import Capability, CapabilityLimits, all_limits, capability_of, limits_of
from vggprof.devices.catalogue import devices
from vggprof.devices.context import (
    ContextPart,
    Library,
    Loading,
    context_parts,
    context_range,
    loading_of,
)
from vggprof.devices.custom import custom_device
from vggprof.devices.device import Device, Form, MeasuredTotal, Rate
from vggprof.devices.files import load_device, names_a_file
from vggprof.devices.here import (
    GpuHere,
    GpuProcess,
    MigSlice,
    Survey,
    demand_gpu,
    gpus_here,
    survey,
    visible_gpus,
)
from vggprof.devices.lookup import devices_named, find_device, ladder, search_devices, variants
from vggprof.devices.ranges import Range

__all__ = [
    "Capability",
    "CapabilityLimits",
    "ContextPart",
    "Device",
    "Form",
    "GpuHere",
    "GpuProcess",
    "Library",
    "Loading",
    "MeasuredTotal",
    "MigSlice",
    "Range",
    "Rate",
    "Survey",
    "all_limits",
    "capability_of",
    "context_parts",
    "context_range",
    "custom_device",
    "demand_gpu",
    "devices",
    "devices_named",
    "find_device",
    "gpus_here",
    "ladder",
    "limits_of",
    "load_device",
    "loading_of",
    "names_a_file",
    "resolve_device",
    "search_devices",
    "survey",
    "variants",
    "visible_gpus",
]


def resolve_device(text: str) -> Device:
    """Return the device that *text* means where a GPU is named: a device file's path, else a catalogue name.

    Raises DeviceError, SpecError or FileFormatError as `find_device` and `load_device` do.
    """
    return load_device(text) if names_a_file(text) else find_device(text)
