"""The search of benchmark mode, by hand from generate_and_filter_plans and time_sorted_plan."""

from vggprof.memory.workspaces.benchmark import search
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.plans import Answer, Plan

SIZES = (400, 900, 300, 0, 100)
PLANS = tuple(Plan(f"eng{i}", size, (), fallback=i > 2) for i, size in enumerate(SIZES))
ANSWER = Answer(PLANS, "test", 400, 400)


def test_one_workspace_serves_all_plans_that_fit() -> None:
    found = search(ANSWER, CudnnSettings(benchmark=True), free_bytes=1000, block_bytes=50)
    assert found.held_bytes == 900
    assert found.timed == PLANS
    assert (found.likely, found.low_bytes, found.high_bytes) == (PLANS[0], 0, 900)


def test_plans_that_do_not_fit_do_not_compete() -> None:
    found = search(ANSWER, CudnnSettings(benchmark=True), free_bytes=0, block_bytes=399)
    assert found.held_bytes == 300
    assert found.timed == PLANS[2:]
    assert found.likely == PLANS[2]


# The workspace is chosen before the limit on what is timed.
def test_only_so_many_plans_are_timed() -> None:
    settings = CudnnSettings(benchmark=True, benchmark_limit=1)
    found = search(ANSWER, settings, free_bytes=1000, block_bytes=0)
    assert (found.held_bytes, found.high_bytes) == (900, 400)
    unlimited = CudnnSettings(benchmark=True, benchmark_limit=0)
    assert search(ANSWER, unlimited, free_bytes=1000, block_bytes=0).timed == PLANS
