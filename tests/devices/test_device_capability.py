"""The limits of each compute capability, against NVIDIA's published tables and NVIDIA's headers."""

import re
from importlib.util import find_spec
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.devices import all_limits, capability_of, devices, limits_of
from vggprof.devices.capability import nearest_known
from vggprof.errors import DeviceError

# CUDA C++ Programming Guide 13.0, table 27, and for 7.0 the guide of CUDA 12: opt-in shared memory a block,
# reserved shared memory, resident blocks and threads an SM.
GUIDE = {
    (7, 0): (98304, 0, 32, 2048),
    (7, 5): (65536, 0, 16, 1024),
    (8, 0): (166912, 1024, 32, 2048),
    (8, 6): (101376, 1024, 16, 1536),
    (8, 7): (166912, 1024, 16, 1536),
    (8, 9): (101376, 1024, 24, 1536),
    (9, 0): (232448, 1024, 32, 2048),
    (10, 0): (232448, 1024, 32, 2048),
    (11, 0): (232448, 1024, 24, 1536),
    (12, 0): (101376, 1024, 24, 1536),
}


@pytest.mark.parametrize("capability", GUIDE)
def test_the_programming_guides_table(capability: tuple[int, int]) -> None:
    one = limits_of(capability)
    assert GUIDE[capability] == (
        one.shared_optin_bytes_per_block,
        one.shared_reserved_bytes,
        one.blocks_per_sm,
        one.threads_per_sm,
    )


def test_every_row_hangs_together() -> None:
    limits = all_limits()
    assert list(limits) == sorted(limits)
    assert (min(limits), max(limits)) == ((3, 0), (12, 1))
    for one in limits.values():
        # Since Volta a block may opt into what the SM has less what the driver reserves; before, 48 KiB.
        most = one.shared_bytes_per_sm - one.shared_reserved_bytes
        assert one.shared_optin_bytes_per_block == (most if one.capability >= (7, 0) else 48 * 1024)
        assert one.threads_per_sm % 32 == 0
        assert one.registers_per_block <= one.registers_per_sm
        assert one.source


def _traits(text: str) -> dict[tuple[int, int], dict[str, int]]:
    """Return what CCCL's arch_traits.h says of the capabilities that it writes out in full."""
    found = {}
    for body in re.findall(r"arch_traits<arch_id::sm_(\d+)>\(\) noexcept\n\{(.*?)\n\}", text, re.DOTALL):
        facts = dict(re.findall(r"__traits\.(max_\w+)\s*= ([\d *]+);", body[1]))
        if "max_shared_memory_per_multiprocessor" in facts:
            number = int(body[0])
            found[number // 10, number % 10] = {
                name: prod(map(int, value.split("*"))) for name, value in facts.items()
            }
    return found


def test_nvidias_own_header_says_the_same() -> None:
    spec = find_spec("nvidia")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    headers = [file for root in roots for file in root.glob("**/cuda/__device/arch_traits.h")]
    if not headers:
        pytest.skip("CCCL's headers come with torch's CUDA build")
    traits = _traits(headers[0].read_text(encoding="utf-8"))
    assert len(traits) >= 8
    for capability, facts in traits.items():
        one = limits_of(capability)
        assert one.shared_bytes_per_sm == facts["max_shared_memory_per_multiprocessor"]
        assert one.blocks_per_sm == facts["max_blocks_per_multiprocessor"]
        assert one.threads_per_sm == facts["max_threads_per_multiprocessor"]
        assert one.registers_per_block == facts.get("max_registers_per_block", 65536)


def test_every_device_has_a_known_capability() -> None:
    assert {device.capability for device in devices()} <= set(all_limits())


@pytest.mark.parametrize("text", ["8", "8.", ".6", "8.6.1", "eight", "", "-8.6", "8,6"])
def test_what_is_not_a_capability(text: str) -> None:
    with pytest.raises(DeviceError, match=r"write it like 8\.6"):
        capability_of(text)


def test_reading_and_refusing_a_capability() -> None:
    assert capability_of(" 12.0 ") == (12, 0)
    with pytest.raises(DeviceError, match=r"unknown compute capability 4\.2; known: 3\.0, 3\.5, .*12\.1"):
        limits_of((4, 2))


@given(st.tuples(st.integers(0, 20), st.integers(0, 9)))
def test_the_nearest_known_capability_is_the_highest_below(capability: tuple[int, int]) -> None:
    near = nearest_known(capability)
    assert near in all_limits()
    if capability >= (3, 0):
        assert near <= capability
        assert not any(near < one <= capability for one in all_limits())
