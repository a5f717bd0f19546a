"""A device with the memory that somebody names: ``--gpu-memory 10.5GiB``, alone or on top of a card."""

from dataclasses import replace

from vggprof.devices.device import MAX_MEMORY_BYTES, Device
from vggprof.devices.lookup import ladder
from vggprof.devices.ranges import Range
from vggprof.errors import DeviceError
from vggprof.units import format_bytes

# Less is a size without its unit: 5 for 5GiB. A context alone takes more on any GPU.
_LEAST_MEMORY_BYTES = 64 * 2**20


def custom_device(memory_bytes: int, base: Device | None = None) -> Device:
    """Return *base* with *memory_bytes* of memory, all of which processes can have, as the user says.

    Without *base*, everything but the memory (which decides what cuDNN asks for) is that of the smallest
    card of the ladder that has as much, else of the largest; ``note`` says which. Raises DeviceError for a
    senseless size.
    """
    size = format_bytes(memory_bytes)
    if memory_bytes <= 0:
        raise DeviceError(f"a GPU cannot have {size} of memory; give a size like 10.5GiB")
    if memory_bytes < _LEAST_MEMORY_BYTES:
        raise DeviceError(f"no GPU has {size} of memory; give a size with its unit, like 10.5GiB")
    if memory_bytes > MAX_MEMORY_BYTES:
        raise DeviceError(f"no GPU has {size} of memory; give a size like 10.5GiB, at most 10TiB")
    like = base or _stand_in(memory_bytes)
    return replace(
        like,
        name=f"{like.name} with {size}" if base else f"{size} GPU",
        memory_bytes=memory_bytes,
        inline_ecc=False,
        usable=Range.exact(memory_bytes),
        usable_source="as given",
        totals=(),
        plain=False,
        note=like.note if base else f"all but the memory is taken from the {like.name}",
    )


def _stand_in(memory_bytes: int) -> Device:
    return next((card for card in ladder() if card.memory_bytes >= memory_bytes), ladder()[-1])
