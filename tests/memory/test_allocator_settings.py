"""PYTORCH_ALLOC_CONF by hand; the cases and their answers were tried on torch 2.15's own parser."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof.errors import UsageError
from vggprof.memory.allocator import (
    OPTIONS,
    AllocatorConfig,
    Reserve,
    Tie,
    allocator_config_from,
    allocator_config_text,
    parse_allocator_config,
)
from vggprof.memory.allocator.config import UNLIMITED
from vggprof.units import GIB, MIB


def test_nothing_set_is_the_default() -> None:
    assert parse_allocator_config("") == AllocatorConfig() == allocator_config_from({})


def test_reads_every_modelled_option() -> None:
    config = parse_allocator_config(
        "large_segment_size_mb:32, max_split_size_mb:128 ,max_non_split_rounding_mb:64,"
        "garbage_collection_threshold:0.8,expandable_segments : True,per_process_memory_fraction:0.5,"
        "throw_on_cudamalloc_oom:True,expandable_segments_reserve:40G,backend:native"
    )
    assert config == AllocatorConfig(
        large_segment_bytes=32 * MIB,
        max_split_bytes=128 * MIB,
        max_non_split_rounding_bytes=64 * MIB,
        garbage_collection_threshold=0.8,
        expandable_segments=True,
        memory_fraction=0.5,
        throw_on_cudamalloc_oom=True,
        expandable_reserve=Reserve(size_bytes=40 * GIB),
    )


@pytest.mark.parametrize(
    ("text", "divisions"),
    [
        ("4", (4,) * 16),
        # 256 is the ninth interval: all below takes its value, what is not named stays 0, > fills the rest.
        ("[256:1,512:2,1024:4,>:8]", (*(1,) * 9, 2, 4, *(8,) * 5)),
        ("[256:4,1024:8]", (*(4,) * 9, 0, 8, *(0,) * 5)),
        ("[64:0,>:2]", (*(0,) * 7, *(2,) * 9)),
        ("[1:2,4:8,16:1,>:4]", (2, 0, 8, 0, 1, *(4,) * 11)),
        ("[1048576:2]", (2,) * 16),  # above the last interval counts as the last
        ("[]", (0,) * 16),
    ],
)
def test_reads_roundup_divisions(text: str, divisions: tuple[int, ...]) -> None:
    assert parse_allocator_config(f"roundup_power2_divisions:{text}").roundup_divisions == divisions


def test_numbers_are_read_like_stoull_and_stod() -> None:
    assert parse_allocator_config("max_split_size_mb:30x").max_split_bytes == 30 * MIB
    assert parse_allocator_config("max_split_size_mb:-1").max_split_bytes == UNLIMITED
    assert parse_allocator_config("garbage_collection_threshold:.5e0y").garbage_collection_threshold == 0.5


def test_the_last_of_two_equal_options_and_a_trailing_comma() -> None:
    assert parse_allocator_config("max_split_size_mb:30,max_split_size_mb:40,").max_split_bytes == 40 * MIB


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_split_size:128", "unknown option 'max_split_size'; did you mean 'max_split_size_mb'?"),
        (
            "expandable_segment:True",
            "unknown option 'expandable_segment'; did you mean 'expandable_segments'?",
        ),
        ("max_split_size_mb=30", "expected option:value at 'max_split_size_mb=30'"),
        ("max_split_size_mb", "expected option:value at 'max_split_size_mb'"),
        ("max_split_size_mb:", "max_split_size_mb has no value"),
        ("max_split_size_mb:[30]", "max_split_size_mb takes one value, not a list"),
        ("max_split_size_mb:30:40", "expected a comma after 'max_split_size_mb', not ':'"),
        (",max_split_size_mb:30", "expected option:value at ','"),
        ("max_split_size_mb:30,,backend:native", "expected option:value at ','"),
        ("max_split_size_mb:many", "max_split_size_mb needs a whole number, not 'many'"),
        ("max_split_size_mb:99999999999999999999", "max_split_size_mb needs a whole number"),
        ("max_split_size_mb:19", "max_split_size_mb must be at least 20"),
        ("max_split_size_mb:30,large_segment_size_mb:40", "max_split_size_mb must be at least 40"),
        ("max_non_split_rounding_mb:19", "max_non_split_rounding_mb must be at least 20"),
        ("large_segment_size_mb:10", "large_segment_size_mb must be greater than 10"),
        ("garbage_collection_threshold:0", "garbage_collection_threshold must lie between 0.0 and 1.0"),
        ("garbage_collection_threshold:1.0", "garbage_collection_threshold must lie between 0.0 and 1.0"),
        ("garbage_collection_threshold:high", "garbage_collection_threshold needs a number, not 'high'"),
        ("per_process_memory_fraction:1.5", "per_process_memory_fraction must lie in [0.0, 1.0]"),
        ("expandable_segments:true", "expandable_segments must be True or False, not 'true'"),
        ("roundup_power2_divisions:3", "roundup_power2_divisions takes powers of 2, not 3"),
        ("roundup_power2_divisions:0", "roundup_power2_divisions takes powers of 2, not 0"),
        ("roundup_power2_divisions:[100:2]", "roundup_power2_divisions takes powers of 2, not 100"),
        ("roundup_power2_divisions:[256:3]", "roundup_power2_divisions takes powers of 2, not 3"),
        ("roundup_power2_divisions:[256:1", "roundup_power2_divisions: the list lacks its closing bracket"),
        ("roundup_power2_divisions:[256]", "must be a number or a list like [256:1,512:2,>:4]"),
        ("expandable_segments_reserve:half", "must be a fraction like 0.5 or a size like 40G, not 'half'"),
        ("backend:cudaMallocAsync", "backend cudaMallocAsync is not modelled"),
        ("backend:fast", "unknown backend 'fast'"),
    ],
)
def test_refuses_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_allocator_config(text)
    message = str(refused.value)
    assert message.startswith("PYTORCH_ALLOC_CONF: ")
    assert said in message
    assert "\n" not in message


def test_options_without_effect_on_device_memory_are_accepted() -> None:
    text = (
        "pinned_use_background_threads:True,release_lock_on_cudamalloc:True,pinned_num_register_threads:8,"
        "graph_capture_record_stream_reuse:True,expandable_segments_reserve_by_class:[serving:0.25,other:2G]"
    )
    assert parse_allocator_config(text) == AllocatorConfig()


def test_options_are_known_from_their_release_on() -> None:
    assert OPTIONS["throw_on_cudamalloc_oom"] == (2, 12)
    assert parse_allocator_config("throw_on_cudamalloc_oom:True", (2, 12)).throw_on_cudamalloc_oom
    with pytest.raises(
        UsageError, match=r"'throw_on_cudamalloc_oom' is not known to torch 2\.11; it came with 2\.12"
    ):
        parse_allocator_config("throw_on_cudamalloc_oom:True", (2, 11))


def test_the_cuda_variable_holds_alone_where_both_are_set() -> None:
    both = {
        "PYTORCH_ALLOC_CONF": "roundup_power2_divisions:4",
        "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:50",
    }
    assert allocator_config_from(both) == AllocatorConfig(max_split_bytes=50 * MIB)
    assert allocator_config_from({"PYTORCH_ALLOC_CONF": "max_split_size_mb:50"}) == allocator_config_from(
        both
    )
    with pytest.raises(UsageError, match=r"^PYTORCH_CUDA_ALLOC_CONF: unknown option"):
        allocator_config_from({"PYTORCH_CUDA_ALLOC_CONF": "x:1"})


def test_derived_sizes() -> None:
    assert AllocatorConfig().tolerance_bytes == 20 * MIB
    assert AllocatorConfig(large_segment_bytes=40 * MIB).tolerance_bytes == 40 * MIB
    # Only a fraction below 1 is a limit; it is cut to whole bytes.
    assert AllocatorConfig().limit_bytes(8 * GIB) is None
    assert AllocatorConfig(memory_fraction=0.5).limit_bytes(8 * GIB) == 4 * GIB
    assert AllocatorConfig(memory_fraction=0.3).limit_bytes(1001) == 300
    assert AllocatorConfig(memory_fraction=0.5).limit_bytes(None) is None
    # 1 1/8 of the device, or what is set if that is less.
    assert AllocatorConfig().reserve_bytes(8 * GIB) == 9 * GIB
    assert AllocatorConfig(expandable_reserve=Reserve(share=0.5)).reserve_bytes(8 * GIB) == 4 * GIB
    assert AllocatorConfig(expandable_reserve=Reserve(size_bytes=40 * GIB)).reserve_bytes(8 * GIB) == 9 * GIB
    assert AllocatorConfig(torch=(2, 12)).tie is Tie.BLOCK


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (AllocatorConfig(), ""),
        (AllocatorConfig(expandable_segments=True), "expandable_segments:True"),
        (
            AllocatorConfig(max_split_bytes=128 * MIB, garbage_collection_threshold=0.8),
            "max_split_size_mb:128,garbage_collection_threshold:0.8",
        ),
        (AllocatorConfig(roundup_divisions=(4,) * 16), "roundup_power2_divisions:4"),
        (
            AllocatorConfig(memory_fraction=0.25, expandable_reserve=Reserve(size_bytes=GIB // 2)),
            "expandable_segments_reserve:0.5G,per_process_memory_fraction:0.25",
        ),
    ],
)
def test_settings_as_text(config: AllocatorConfig, text: str) -> None:
    assert allocator_config_text(config) == text
    assert parse_allocator_config(text) == config


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.builds(
        AllocatorConfig,
        large_segment_bytes=st.integers(11, 64).map(lambda n: n * MIB),
        max_split_bytes=st.integers(64, 4096).map(lambda n: n * MIB) | st.just(UNLIMITED),
        max_non_split_rounding_bytes=st.none() | st.integers(64, 4096).map(lambda n: n * MIB),
        roundup_divisions=st.lists(st.sampled_from([0, 1, 2, 8]), min_size=16, max_size=16).map(tuple),
        garbage_collection_threshold=st.floats(0, 0.99),
        expandable_segments=st.booleans(),
        expandable_reserve=st.none() | st.builds(Reserve, share=st.floats(0.01, 2)),
        memory_fraction=st.floats(0, 1),
        throw_on_cudamalloc_oom=st.booleans(),
    )
)
def test_text_reads_back(config: AllocatorConfig) -> None:
    assert parse_allocator_config(allocator_config_text(config)) == config
