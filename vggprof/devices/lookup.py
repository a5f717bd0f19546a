"""A GPU by the name people give it: case, spaces, hyphens and vendor words do not matter.

The rules, in order:
1. *Exact*: the words are those of one catalogue name, or of a name that torch shows.
2. *Model*: the words are the model, with or without its memory size (``4090`` is not the ``4090 Laptop``).
3. *Partial*: every word is in the name (``a100 80 pcie``).
Where several fit, the one marked plain in the catalogue is meant, if there is one: of cards that differ in
memory the one first sold under the name alone (``3060`` is the 12 GB card, ``3080`` the 10 GB one), of
boards that differ in form the SXM one (``h100``; ``a100 40``). Where that leaves several (``a100``) or
nothing fits, the answer is a DeviceError that lists them, or the nearest names.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Final

from vggprof.devices.catalogue import devices
from vggprof.devices.device import Device
from vggprof.errors import DeviceError
from vggprof.units import GIB

# Common cards from 4 to 80 GiB, all of capabilities that cuDNN answers for without a GPU (7.5 and later).
LADDER_NAMES: Final = (
    "GeForce GTX 1650",
    "GeForce RTX 2060",
    "GeForce RTX 4060",
    "GeForce RTX 3060 12GB",
    "Tesla T4",
    "GeForce RTX 4090",
    "A100 SXM4 40GB",
    "H100 SXM5 80GB",
)

_VENDOR: Final = (
    "nvidia",
    "geforce",
    "tesla",
    "quadro",
    "gpu",
    "graphics",
    "card",
    "corporation",
    "generation",
    "edition",
)
_PREFIXES: Final = ("rtx", "gtx", "gt", "jetson", "grid")  # may be left out of a partial name
_SYNONYMS: Final = {"mobile": "laptop", "notebook": "laptop"}
_MOST_LISTED: Final = 8
_MOST_NEAR: Final = 5

# A number glued to what follows or precedes it: rtx3060ti -> rtx 3060 ti; 4070tisuper; 3060 12gb.
_GLUED: Final = re.compile(r"(?<=[a-z]{3})(?=\d{3})|(?<=\d{4})(?=ti|super|laptop|mobile)|(?<=ti)(?=super)")
_SUPER: Final = re.compile(r"\b((?:rtx|gtx)?\d{4})s\b")  # 2070s
_LONE_SIZE: Final = re.compile(r"\d{1,2}|\d+gb")  # says nothing by itself
_SIZE: Final = re.compile(r"\b(\d+)\s*g(?:i?b)?\b")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A device and the words that it answers to."""

    device: Device
    exact: frozenset[frozenset[str]]  # its name, and each name torch shows
    glued: frozenset[str]  # the same without anything between the letters
    model: frozenset[str]  # its name without memory size, form and the like
    all: frozenset[str]


def find_device(text: str) -> Device:
    """Return the GPU of the catalogue that *text* names; see the module for the rules.

    Raises DeviceError, one line, when nothing fits (with the nearest names) or several do (with all of them).
    """
    return find_with_others(text)[0]


def find_with_others(text: str) -> tuple[Device, tuple[Device, ...]]:
    """Return what `find_device` does, and the GPUs that *text* fits as well; raises as that does."""
    words = _words(text)
    if all(_LONE_SIZE.fullmatch(word) for word in words):
        like = ", ".join(_sharing(text)) or "'RTX 3060'"
        raise DeviceError(f"{text!r} names no GPU; write a name like {like}; `vggprof gpus` lists all")
    entries = _entries()
    for fits in (
        [entry for entry in entries if words in entry.exact or _glue(text) in entry.glued],
        [entry for entry in entries if _model(words) == entry.model and words <= entry.all],
        [entry for entry in entries if words <= entry.all],
    ):
        if found := _one_of(entry.device for entry in fits):
            return found, tuple(entry.device for entry in fits if entry.device != found)
        if fits:
            raise DeviceError(_ambiguous(text, [entry.device for entry in fits]))
    raise DeviceError(f"unknown GPU {text!r}{_nearest(text)}; `vggprof gpus` lists all")


def search_devices(pattern: str = "") -> tuple[Device, ...]:
    """Return the GPUs in whose names, generation, form or capability every word of *pattern* occurs.

    The capability is written ``8.6`` or ``sm_86``; an empty pattern finds all.
    """
    words = pattern.lower().split()
    return tuple(device for device in devices() if all(_occurs(word, device) for word in words))


def devices_named(torch_name: str) -> tuple[Device, ...]:
    """Return the GPUs that torch and the driver show under *torch_name*: several where models share it."""
    words = _words(torch_name)
    return tuple(entry.device for entry in _entries() if words in entry.exact)


def variants(device: Device) -> tuple[Device, ...]:
    """Return the other GPUs that torch shows under the same name: the 12 GB RTX 3080 for the 10 GB one."""
    return tuple(other for other in devices() if other != device and other.torch_name == device.torch_name)


@cache
def ladder() -> tuple[Device, ...]:
    """Return eight common cards from 4 to 80 GiB, smallest first: the answer when no GPU is named or here."""
    by_name = {device.name: device for device in devices()}
    return tuple(by_name[name] for name in LADDER_NAMES)


def _words(text: str) -> frozenset[str]:
    """Return what tells one name from another in *text*: ``{"rtx", "3060", "12gb"}``."""
    return _all_words(text).difference(_VENDOR)


def _all_words(text: str) -> frozenset[str]:
    """Return the words of *text*, those of vendors too: ``{"geforce", "rtx", "3060", "12gb"}``."""
    lower = _SUPER.sub(r"\1 super", _SIZE.sub(r"\1gb", text.lower().replace("max-q", "maxq")))
    parts = re.split(r"[^a-z0-9.]+", _GLUED.sub(" ", lower))
    return frozenset(_SYNONYMS.get(part, part) for part in parts if part)


def _glue(text: str) -> str:
    glued = re.sub(r"[^a-z0-9]+", "", text.lower())
    for word in _VENDOR:
        glued = glued.replace(word, "")
    return glued


@cache
def _entries() -> tuple[_Entry, ...]:
    return tuple(_entry(device) for device in devices())


def _entry(device: Device) -> _Entry:
    names = (device.name, *device.torch_names)
    in_names = frozenset[str]().union(*map(_words, names))
    gib = str(device.memory_bytes // GIB)
    boards = (word.rstrip("0123456789") for word in in_names if word.startswith("sxm"))
    return _Entry(
        device=device,
        exact=frozenset(map(_words, names)),
        glued=frozenset(map(_glue, names)),
        model=_model(_words(device.name)) - {device.architecture.lower()},
        all=in_names.union({gib, f"{gib}gb", device.architecture.lower()}, boards),
    )


def _model(words: frozenset[str]) -> frozenset[str]:
    """Return *words* without prefixes and memory sizes."""
    return frozenset(word for word in words if word not in _PREFIXES and not _SIZE.fullmatch(word))


def _one_of(found: Iterable[Device]) -> Device | None:
    """Return the only one of *found*, or the only plain one, or None."""
    candidates = tuple(found)
    plain = tuple(device for device in candidates if device.plain)
    for group in (candidates, plain):
        if len(group) == 1:
            return group[0]
    return None


def _ambiguous(text: str, fits: list[Device]) -> str:
    names = [repr(device.name) for device in fits[:_MOST_LISTED]]
    more = f" and {len(fits) - len(names)} more" if len(fits) > len(names) else ""
    return f"{text!r} fits {len(fits)} GPUs; write one of {', '.join(names)}{more}"


def _nearest(text: str) -> str:
    """Return the nearest names as the end of a sentence, or nothing."""
    by_glue = {glued: entry.device.name for entry in _entries() for glued in entry.glued}
    by_glue |= {_glue(" ".join(sorted(entry.model))): entry.device.name for entry in _entries()}
    near = get_close_matches(_glue(text), by_glue, n=5, cutoff=0.6)
    names = list(dict.fromkeys(repr(by_glue[glued]) for glued in near))[:3] or _sharing(text)
    return f"; the nearest are {', '.join(names)}" if names else ""


def _sharing(text: str) -> list[str]:
    """Return the names that have most words of *text* in them, a few, the nearest first: other RTX cards."""
    wanted = {word for word in _all_words(text) if not _LONE_SIZE.fullmatch(word)}
    shared = {device.name: len(wanted & _all_words(device.name)) for device in devices()}
    most = max(shared.values())
    names = {_glue(name): name for name, count in shared.items() if 0 < count == most}
    model = _glue(_SIZE.sub("", text.lower()))
    return [repr(names[glued]) for glued in get_close_matches(model, names, n=_MOST_NEAR, cutoff=0)]


def _occurs(word: str, device: Device) -> bool:
    names = (device.name, *device.torch_names)
    capability = device.capability_text
    facts = (device.architecture, device.form, capability, f"sm_{capability.replace('.', '')}")
    glued = _glue(word)
    return any(word in text.lower() for text in (*names, *facts)) or (
        glued != "" and any(glued in _glue(name) for name in names)
    )
