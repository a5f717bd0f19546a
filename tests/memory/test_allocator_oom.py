"""Out of memory as torch says it. The texts are those of libc10_cuda 2.11.0 to 2.15.0, see
test_allocator_oracle.py.
"""

from dataclasses import replace

import pytest

from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    OutOfMemory,
    Refusal,
    format_size,
    oom_message,
)
from vggprof.units import GIB, KIB, MIB

TRY = (
    " If reserved but unallocated memory is large try setting"
    " PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory"
    " Management  (https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)"
)
OOM = OutOfMemory(
    requested_bytes=60 * MIB,
    rounded_bytes=60 * MIB,
    segment_bytes=60 * MIB,
    allocated_bytes=3 * GIB // 2,
    reserved_bytes=3 * GIB // 2 + 5 * MIB,
    limit_bytes=None,
    total_bytes=12 * GIB,
    refusal=Refusal.DEVICE,
    config=AllocatorConfig(),
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1024, "1024 bytes"),  # <= 1024 counts as bytes, as each unit includes its end
        (1025, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (MIB, "1024.00 KiB"),
        (20 * MIB, "20.00 MiB"),
        (GIB, "1024.00 MiB"),
        (GIB + 1, "1.00 GiB"),
        (25_287_262_208, "23.55 GiB"),
        (2 * KIB + 5, "2.00 KiB"),
    ],
)
def test_sizes_as_torch_writes_them(size: int, text: str) -> None:
    assert format_size(size) == text


def test_the_whole_message_with_question_marks_for_what_others_do() -> None:
    assert OOM.message == (
        "CUDA out of memory. Tried to allocate 60.00 MiB. GPU 0 has a total capacity of 12.00 GiB of which ?"
        " is free. Including non-PyTorch memory, this process has ? memory in use. Of the allocated memory"
        " 1.50 GiB is allocated by PyTorch, and 5.00 MiB is reserved by PyTorch but unallocated." + TRY
    )


def test_the_whole_message_with_everything_known() -> None:
    processes = "Process 4711 has 1.00 GiB memory in use. "
    message = oom_message(OOM, free_bytes=20 * MIB, processes=processes, device=3)
    assert message == (
        "CUDA out of memory. Tried to allocate 60.00 MiB. GPU 3 has a total capacity of 12.00 GiB of which"
        " 20.00 MiB is free. Process 4711 has 1.00 GiB memory in use. Of the allocated memory 1.50 GiB is"
        " allocated by PyTorch, and 5.00 MiB is reserved by PyTorch but unallocated." + TRY
    )


def test_a_limit_has_its_own_sentence() -> None:
    assert (
        "memory in use. 8.00 GiB allowed; Of the allocated memory"
        in replace(OOM, limit_bytes=8 * GIB).message
    )


def test_an_unknown_card() -> None:
    assert "GPU 0 has a total capacity of ? of which ? is free." in replace(OOM, total_bytes=None).message


@pytest.mark.parametrize(
    ("torch", "ending"),
    [
        ((2, 11), TRY),
        ((2, 13), TRY),
        ((2, 14), "unallocated."),
        (
            (2, 15),
            "reduce it via PYTORCH_CUDA_ALLOC_CONF expandable_segments_reserve /"
            " expandable_segments_reserve_by_class.",
        ),
    ],
)
def test_the_advice_under_expandable_segments(torch: tuple[int, int], ending: str) -> None:
    config = AllocatorConfig(torch=torch, expandable_segments=True)
    assert replace(OOM, config=config).message.endswith(ending)


def test_tried_to_allocate_names_the_segment() -> None:
    oom = Allocator(capacity_bytes=10 * MIB).malloc(2 * MIB)
    assert isinstance(oom, OutOfMemory)
    assert oom.rounded_bytes == 2 * MIB
    assert "Tried to allocate 20.00 MiB." in oom.message


def test_more_than_an_exabyte() -> None:
    oom = Allocator().malloc(2**60)
    assert isinstance(oom, OutOfMemory)
    assert oom.refusal is Refusal.TOO_LARGE
    assert oom.message == "CUDA out of memory. Tried to allocate more than 1EB memory."
