"""PYTORCH_ALLOC_CONF and PYTORCH_CUDA_ALLOC_CONF, read as torch reads them.

AcceleratorAllocatorConfig::parseArgs in c10/core/AllocatorConfig.cpp, CUDAAllocatorConfig::parseArgs in
c10/cuda/CUDAAllocatorConfig.cpp: comma-separated ``key:value`` pairs, lists in square brackets, blanks
ignored, the last of two equal keys wins, numbers read like C++'s stoull and stod.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vggprof.errors import UsageError, did_you_mean
from vggprof.memory.allocator.config import TORCH, UNLIMITED, AllocatorConfig, Reserve
from vggprof.memory.allocator.rules import DIVISION_INTERVALS, NO_DIVISIONS
from vggprof.units import GIB, MIB

# Since which torch release a key is known; 2.11 is the oldest that we look at.
_MODELLED = {
    "large_segment_size_mb": (2, 11),
    "max_split_size_mb": (2, 11),
    "max_non_split_rounding_mb": (2, 11),
    "roundup_power2_divisions": (2, 11),
    "garbage_collection_threshold": (2, 11),
    "expandable_segments": (2, 11),
    "per_process_memory_fraction": (2, 11),
    "throw_on_cudamalloc_oom": (2, 12),
    "expandable_segments_reserve": (2, 15),
    "backend": (2, 11),
}
# Host memory, locking, stream capture and tagged streams: nothing that a training on one device changes with.
_WITHOUT_EFFECT = {
    "expandable_segments_reserve_by_class": (2, 15),
    "graph_capture_record_stream_reuse": (2, 11),
    "pinned_free_catch_all": (2, 12),
    "pinned_max_cached_size_mb": (2, 13),
    "pinned_max_round_threshold_mb": (2, 13),
    "pinned_num_register_threads": (2, 11),
    "pinned_reserve_segment_size_mb": (2, 11),
    "pinned_use_background_threads": (2, 11),
    "pinned_use_cuda_host_register": (2, 11),
    "pinned_use_hip_host_register": (2, 11),
    "release_lock_on_cudamalloc": (2, 11),
    "release_lock_on_hipmalloc": (2, 11),
}
OPTIONS: dict[str, tuple[int, int]] = {**_MODELLED, **_WITHOUT_EFFECT}

_TOKEN = re.compile(r"[,:\[\]]|[^,:\[\]]+")
_UNSIGNED = re.compile(r"[+-]?\d+")
_DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_RESERVE = re.compile(r"(\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?([gG]?)")
_U64 = 2**64


def parse_allocator_config(
    text: str, torch: tuple[int, int] = TORCH, *, source: str = "PYTORCH_ALLOC_CONF"
) -> AllocatorConfig:
    """Return the settings that *text* means to torch release *torch*.

    Raises UsageError with one line that begins with *source* for what torch refuses, for unknown options
    (with the nearest known one), and for ``backend:cudaMallocAsync``, which is another allocator and not
    modelled.
    """
    try:
        pairs = dict(_pairs("".join(text.split())))
        fields: dict[str, Any] = {}
        for key, value in pairs.items():
            _check_known(key, torch)
            fields.update(_field(key, value))
        return AllocatorConfig(torch=torch, **fields)
    except UsageError as error:
        raise UsageError(f"{source}: {str(error).removeprefix('allocator settings: ')}") from None


def allocator_config_from(environment: Mapping[str, str], torch: tuple[int, int] = TORCH) -> AllocatorConfig:
    """Return the settings in *environment*; where both variables are set, the CUDA one holds alone.

    CUDAAllocatorConfig::instance reads PYTORCH_CUDA_ALLOC_CONF first, and whatever it reads replaces all
    settings. Raises UsageError as ``parse_allocator_config`` does.
    """
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        if name in environment:
            return parse_allocator_config(environment[name], torch, source=name)
    return AllocatorConfig(torch=torch)


def with_torch(config: AllocatorConfig, torch: tuple[int, int]) -> AllocatorConfig:
    """Return *config* under the rules of another torch release."""
    return replace(config, torch=torch)


def _check_known(key: str, torch: tuple[int, int]) -> None:
    since = OPTIONS.get(key)
    if since is None:
        raise UsageError(f"unknown option {key!r}{did_you_mean(key, tuple(OPTIONS))}")
    if since > torch:
        have, need = (".".join(map(str, version)) for version in (torch, since))
        raise UsageError(f"option {key!r} is not known to torch {have}; it came with {need}")


def _pairs(text: str) -> list[tuple[str, list[str]]]:
    """Split ``a:1,b:[2:3,4:5]`` into keys and the tokens of their values, brackets included."""
    tokens = _TOKEN.findall(text)
    pairs, at = [], 0
    while at < len(tokens):
        key = tokens[at]
        if at + 1 >= len(tokens) or tokens[at + 1] != ":" or key in ",:[]":
            raise UsageError(f"expected option:value at {key!r}")
        end = _value_end(tokens, at + 2, key)
        pairs.append((key, tokens[at + 2 : end]))
        if end < len(tokens) and tokens[end] != ",":
            raise UsageError(f"expected a comma after {key!r}, not {tokens[end]!r}")
        at = end + 1
    return pairs


def _value_end(tokens: list[str], at: int, key: str) -> int:
    if at >= len(tokens) or tokens[at] in ",:]":
        raise UsageError(f"{key} has no value")
    if tokens[at] != "[":
        return at + 1
    if "]" not in tokens[at:]:
        raise UsageError(f"{key}: the list lacks its closing bracket")
    return tokens.index("]", at) + 1


def _field(key: str, value: list[str]) -> dict[str, Any]:
    """Return the fields of AllocatorConfig that ``key:value`` sets."""
    if key in _WITHOUT_EFFECT:
        return {}
    if key == "roundup_power2_divisions":
        return {"roundup_divisions": _divisions(key, value)}
    if len(value) != 1:
        raise UsageError(f"{key} takes one value, not a list")
    if key == "backend":
        _check_backend(value[0])
        return {}
    name, read = _SCALARS[key]
    return {name: read(key, value[0])}


def _check_backend(name: str) -> None:
    if name == "cudaMallocAsync":
        raise UsageError("backend cudaMallocAsync is not modelled; only the native allocator is")
    if name != "native":
        raise UsageError(f"unknown backend {name!r}; options are native and cudaMallocAsync")


def _unsigned(key: str, text: str) -> int:
    """Read like std::stoull: leading digits count, a minus wraps around."""
    match = _UNSIGNED.match(text)
    if match is None or abs(int(match[0])) >= _U64:
        raise UsageError(f"{key} needs a whole number, not {text!r}")
    return int(match[0]) % _U64


def _mebibytes(key: str, text: str) -> int:
    return min(_unsigned(key, text) * MIB, UNLIMITED)


def _double(key: str, text: str) -> float:
    match = _DOUBLE.match(text)
    if match is None:
        raise UsageError(f"{key} needs a number, not {text!r}")
    return float(match[0])


def _threshold(key: str, text: str) -> float:
    value = _double(key, text)
    if not 0 < value < 1:
        raise UsageError(f"{key} must lie between 0.0 and 1.0, not {text}")
    return value


def _boolean(key: str, text: str) -> bool:
    if text not in ("True", "False"):
        raise UsageError(f"{key} must be True or False, not {text!r}")
    return text == "True"


def _reserve(key: str, text: str) -> Reserve:
    match = _RESERVE.fullmatch(text)
    number = float(text.rstrip("gG")) if match else 0.0
    if match is None or number <= 0:
        raise UsageError(f"{key} must be a fraction like 0.5 or a size like 40G, not {text!r}")
    return Reserve(size_bytes=int(number * GIB)) if match[2] else Reserve(share=number)


def _divisions(key: str, value: list[str]) -> tuple[int, ...]:
    if value[0] != "[":
        count = _unsigned(key, value[0])
        _check_power(key, count)
        return (count,) * DIVISION_INTERVALS
    divisions, last, first = list(NO_DIVISIONS), 0, True
    for boundary, count in _division_entries(key, value[1:-1]):
        if count:
            _check_power(key, count)
        if boundary == ">":  # everything above the last interval named
            divisions[last + 1 :] = [count] * (DIVISION_INTERVALS - last - 1)
            continue
        size = _unsigned(key, boundary)
        _check_power(key, size)
        last = min(size.bit_length() - 1, DIVISION_INTERVALS - 1)
        if first:  # everything below the first interval named
            divisions[:last] = [count] * last
            first = False
        divisions[last] = count
    return tuple(divisions)


def _division_entries(key: str, tokens: list[str]) -> list[tuple[str, int]]:
    entries = []
    for at in range(0, len(tokens), 4):
        entry = tokens[at : at + 4]
        if len(entry) < 3 or entry[1] != ":" or entry[0] in ",:[" or entry[3:] not in ([","], []):
            raise UsageError(f"{key} must be a number or a list like [256:1,512:2,>:4]")
        entries.append((entry[0], _unsigned(key, entry[2])))
    return entries


def _check_power(key: str, number: int) -> None:
    if number < 1 or number & (number - 1):
        raise UsageError(f"{key} takes powers of 2, not {number}")


_SCALARS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "large_segment_size_mb": ("large_segment_bytes", _mebibytes),
    "max_split_size_mb": ("max_split_bytes", _mebibytes),
    "max_non_split_rounding_mb": ("max_non_split_rounding_bytes", _mebibytes),
    "garbage_collection_threshold": ("garbage_collection_threshold", _threshold),
    "expandable_segments": ("expandable_segments", _boolean),
    "per_process_memory_fraction": ("memory_fraction", _double),
    "throw_on_cudamalloc_oom": ("throw_on_cudamalloc_oom", _boolean),
    "expandable_segments_reserve": ("expandable_reserve", _reserve),
}
