"""The GPUs that a pattern finds, beside those of this machine."""

from dataclasses import dataclass

from vggprof.devices.device import Device
from vggprof.devices.files import load_device, names_a_file
from vggprof.devices.here import Survey, survey
from vggprof.devices.lookup import find_device, search_devices, variants


@dataclass(frozen=True, slots=True)
class ListedGpu:
    """One GPU, and the others that torch shows under the same name."""

    device: Device
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GpuListing:
    """What was found, in the order of the catalogue (oldest generation first), and what is here."""

    pattern: str  # "" for all
    found: tuple[ListedGpu, ...]
    here: Survey


def list_gpus(pattern: str = "") -> GpuListing:
    """Return the GPUs that *pattern* finds, all of the catalogue where it is empty, and those that are here.

    *pattern* is words as `search_devices` takes them, else a name as `find_device` does, or the path of a
    device file. Raises DeviceError with the nearest names where nothing fits, and SpecError or
    FileFormatError as `load_device` does.
    """
    pattern = pattern.strip()
    found = tuple(ListedGpu(device, _names(variants(device))) for device in _find(pattern))
    return GpuListing(pattern, found, survey())


def _find(pattern: str) -> tuple[Device, ...]:
    if names_a_file(pattern):
        return (load_device(pattern),)
    return search_devices(pattern) or (find_device(pattern),)


def _names(devices: tuple[Device, ...]) -> tuple[str, ...]:
    return tuple(device.name for device in devices)
