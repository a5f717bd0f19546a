"""Rounding, pools and segment sizes by hand; the constants are those of c10/core/AllocatorConfig.h."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof.memory.allocator.rules import Tie, round_to_block, segment_bytes, tie_of
from vggprof.units import GIB, KIB, MIB

FOUR = (4,) * 16


@pytest.mark.parametrize(
    ("size", "rounded"),
    [
        (1, 512),  # under 512 becomes 512
        (511, 512),
        (512, 512),
        (513, 1024),  # else up to a multiple of 512
        (1024, 1024),
        (4 * 1000 * 10, 40_448),  # ceil(40,000 / 512) = 79 blocks
        (4 * 4096, 16_384),
    ],
)
def test_rounds_to_blocks(size: int, rounded: int) -> None:
    assert round_to_block(size) == rounded


@pytest.mark.parametrize(
    ("size", "rounded"),
    [
        # The note at roundup_power2_next_division, in KiB to be above 4 blocks: between 1 and 2 MiB four
        # divisions are 1, 1.25, 1.5 and 1.75 MiB, so 1200 KiB becomes 1280 KiB.
        (1200 * KIB, 1280 * KIB),
        (1280 * KIB, 1280 * KIB),
        (1280 * KIB + 1, 1536 * KIB),
        (1792 * KIB + 1, 2048 * KIB),
        (1024 * KIB, 1024 * KIB),  # powers of 2 stay
        # Not above divisions x 512 = 2048 bytes: plain rounding.
        (1100, 1536),
        (2048, 2048),
        (2049, 2560),  # 2048 + 2048/4
        (100, 512),
    ],
)
def test_rounds_to_a_quarter_of_a_power_of_two(size: int, rounded: int) -> None:
    assert round_to_block(size, FOUR) == rounded


def test_every_interval_has_its_own_divisions() -> None:
    # 2 divisions from 1 MiB to 2 MiB, 8 in the next interval, none from 4 MiB on, 1 (none) from 32 GiB on;
    # what lies below 1 MiB follows the first interval.
    divisions = (2, 8, *(0,) * 13, 1)
    assert round_to_block(600 * KIB, divisions) == 768 * KIB  # 512 KiB + 256 KiB
    assert round_to_block(1100 * KIB, divisions) == 1536 * KIB
    assert round_to_block(2100 * KIB, divisions) == 2304 * KIB  # 2048 + 2048/8
    assert round_to_block(4 * MIB + 1, divisions) == 4 * MIB + 512
    assert round_to_block(40 * GIB + 1, divisions) == 40 * GIB + 512


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 2**36), st.sampled_from([1, 2, 4, 8, 16]))
def test_divisions_round_up_to_whole_blocks_by_less_than_one_step(size: int, count: int) -> None:
    rounded = round_to_block(size, (count,) * 16)
    step = max(2 ** (size.bit_length() - 1) // count, 512)
    assert size <= rounded < size + step + 512
    assert rounded % 512 == 0
    assert round_to_block(rounded, (count,) * 16) == rounded


@pytest.mark.parametrize(
    ("rounded", "segment"),
    [
        (512, 2 * MIB),
        (MIB, 2 * MIB),  # the small pool ends at 1 MiB, inclusive
        (MIB + 512, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),  # from here on a segment of its own, in steps of 2 MiB
        (10 * MIB + 512, 12 * MIB),
        (411_041_792, 392 * MIB),  # 32 x 64 x 224 x 224 floats: 411,041,792 = 196 x 2 MiB exactly
    ],
)
def test_segments(rounded: int, segment: int) -> None:
    assert segment_bytes(rounded) == segment


def test_a_larger_large_segment() -> None:
    assert segment_bytes(2 * MIB, 40 * MIB) == 40 * MIB
    assert segment_bytes(12 * MIB, 40 * MIB) == 12 * MIB


def test_releases_break_ties_differently() -> None:
    releases = ((2, 0), (2, 11), (2, 12), (2, 13), (2, 15), (3, 0))
    ties = [Tie.ADDRESS, Tie.ADDRESS, Tie.BLOCK, Tie.SEGMENT, Tie.SEGMENT, Tie.SEGMENT]
    assert [tie_of(torch) for torch in releases] == ties
