"""Settings written the way PYTORCH_ALLOC_CONF takes them."""

from vggprof.memory.allocator.config import UNLIMITED, AllocatorConfig, Reserve
from vggprof.memory.allocator.rules import NO_DIVISIONS
from vggprof.units import GIB, MIB


def allocator_config_text(config: AllocatorConfig) -> str:
    """Return *config* as text that ``parse_allocator_config`` reads back; "" for torch's defaults.

    The release is not part of it. Sizes are whole MiB there, as torch knows no others.
    """
    plain = AllocatorConfig()
    parts = {
        "large_segment_size_mb": _mebibytes(config.large_segment_bytes, plain.large_segment_bytes),
        "max_split_size_mb": _mebibytes(config.max_split_bytes, UNLIMITED),
        "max_non_split_rounding_mb": _mebibytes(config.max_non_split_rounding_bytes, None),
        "roundup_power2_divisions": _divisions(config.roundup_divisions),
        "garbage_collection_threshold": _number(config.garbage_collection_threshold, 0.0),
        "expandable_segments": "True" if config.expandable_segments else "",
        "expandable_segments_reserve": _reserve(config.expandable_reserve),
        "per_process_memory_fraction": _number(config.memory_fraction, 1.0),
        "throw_on_cudamalloc_oom": "True" if config.throw_on_cudamalloc_oom else "",
    }
    return ",".join(f"{key}:{value}" for key, value in parts.items() if value)


def _mebibytes(size: int | None, default: int | None) -> str:
    return "" if size is None or size == default else str(size // MIB)


def _number(value: float, default: float) -> str:
    return "" if value == default else repr(value)


def _reserve(reserve: Reserve | None) -> str:
    if reserve is None:
        return ""
    return repr(reserve.share) if reserve.share is not None else f"{(reserve.size_bytes or 0) / GIB!r}G"


def _divisions(divisions: tuple[int, ...]) -> str:
    if divisions == NO_DIVISIONS:
        return ""
    if len(set(divisions)) == 1:
        return str(divisions[0])
    return f"[{','.join(f'{2**place}:{count}' for place, count in enumerate(divisions))}]"
