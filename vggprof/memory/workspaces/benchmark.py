"""What ``torch.backends.cudnn.benchmark`` does to memory: a search the first time, then the fastest plan.

get_plans_from_find and generate_and_filter_plans in ATen/native/cudnn/Conv_v8.cpp, time_sorted_plan in
cudnn_frontend. The first call with a query takes one workspace for all plans that it times, gives it back,
and then, as conv_benchmark_empty_cache in Convolution.cpp is on by default, returns every free segment to
the driver. Which plan is fastest cannot be known without the GPU.
"""

from dataclasses import dataclass

from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.plans import Answer, Plan


@dataclass(frozen=True, slots=True)
class Search:
    """The first call with a query: *held_bytes* are taken, given back, and the cache is emptied."""

    held_bytes: int
    timed: tuple[Plan, ...]  # those that compete, in cuDNN's order; not empty where any plan fits

    @property
    def likely(self) -> Plan:
        """The plan that cuDNN itself expects to be the fastest."""
        return self.timed[0]

    @property
    def low_bytes(self) -> int:
        """Workspace of the fastest plan, at least."""
        return min(plan.workspace_bytes for plan in self.timed)

    @property
    def high_bytes(self) -> int:
        """Workspace of the fastest plan, at most."""
        return max(plan.workspace_bytes for plan in self.timed)


def search(answer: Answer, settings: CudnnSettings, *, free_bytes: int, block_bytes: int) -> Search:
    """Return the search among the plans of *answer*.

    *free_bytes* are free on the device, *block_bytes* is the allocator's largest free block: plans that need
    more than both are left out. Where the device refuses the largest workspace nevertheless, torch halves it
    until it fits; *block_bytes* is then what was got, and *free_bytes* 0.
    """
    room = max(free_bytes, block_bytes)
    valid = [plan for plan in answer.plans if plan.workspace_bytes <= room]
    limit = settings.benchmark_limit or len(valid)
    return Search(max((plan.workspace_bytes for plan in valid), default=0), tuple(valid[:limit]))
