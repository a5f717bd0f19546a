"""What is asked of the profiler, and how it comes to the process that measures."""

import json
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from vggprof.errors import UsageError
from vggprof.measurement import Conditions, Execution, Protocol
from vggprof.measurement.encode import plain
from vggprof.trace import Amp, Setup, Trace
from vggprof.trace.decode import from_json as trace_from_json
from vggprof.trace.encode import to_json as trace_to_json

# What `Conditions.device` may ask for; a measurement says which of the other two it was.
AUTO = "auto"
DEVICES = (AUTO, "cuda", "cpu")


# Weights are drawn by torch.manual_seed, which takes what 64 bits hold, with a sign or without.
_SEEDS = range(-(2**63), 2**64)
# Beyond the address space of any processor.
_MEMORY_BYTES = range(1, 2**62)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how closely to measure. Raises UsageError for what makes no sense.

    Steps are timed until the bootstrap interval of their median is no wider than *target_spread* of it, and
    no more than *steps* of them.
    """

    steps: int = 100
    warmup_s: float = 1.0
    target_spread: float = 0.02
    limit_s: float = 600.0  # of one measurement, from start to end
    seed: int = 0  # of weights, images and labels
    layers: bool = True  # whether to profile the layers
    kernels: bool = False  # and to list what ran behind each of them
    trace_file: str | None = None  # for a Chrome trace
    snapshot_file: str | None = None  # for a snapshot of torch's allocator

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"{self.steps} steps measure nothing; take 1 or more")
        if not (0 <= self.warmup_s < inf and 0 < self.target_spread < inf and 0 < self.limit_s < inf):
            raise UsageError(
                "warm-up, target spread and time limit must be numbers above zero (a warm-up may be 0)"
            )
        if self.seed not in _SEEDS:
            raise UsageError(f"a seed has 64 bits, and {self.seed} has more")
        if self.kernels and not self.layers:
            raise UsageError("kernels are listed behind the layers that are timed; --kernels needs --layers")

    def brief(self) -> "Plan":
        """Return the plan for finding out whether a batch fits: a few steps, and nothing else."""
        return replace(
            self,
            steps=min(self.steps, 3),
            warmup_s=0,
            layers=False,
            kernels=False,
            trace_file=None,
            snapshot_file=None,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One measurement to make; raises UsageError for what no device can do.

    *trace* is of the same network under the same setup: its layers are those that times are given to.
    """

    conditions: Conditions
    plan: Plan
    trace: Trace

    def __post_init__(self) -> None:
        asked = self.conditions
        if asked.device not in DEVICES:
            raise UsageError(f"{asked.device!r} is none of {', '.join(DEVICES)}")
        if asked.memory_limit_bytes is not None and asked.memory_limit_bytes not in _MEMORY_BYTES:
            raise UsageError(f"nothing runs in {asked.memory_limit_bytes} bytes of memory; limit it to more")
        if asked.device == "cpu" and asked.execution is Execution.GRAPH:
            raise UsageError("--execution graph is for CUDA; on the CPU take eager or compile")
        eager = asked.execution is Execution.EAGER
        if self.plan.trace_file is not None and not (self.plan.layers and eager):
            raise UsageError("a trace is of the steps whose layers are timed: in eager mode, with --layers")
        if self.plan.snapshot_file is not None and asked.device == "cpu":
            raise UsageError("--snapshot is of the GPU's allocator, and the CPU has none")
        if asked.protocol is Protocol.SEED and not (asked.setup.training and eager):
            raise UsageError("--protocol seed times forward and backward in eager mode, and nothing else")
        if asked.execution is Execution.GRAPH and asked.setup.training and asked.setup.amp is Amp.FP16:
            raise UsageError(
                "a CUDA graph cannot hold the GradScaler of --amp fp16, which asks the device whether all "
                "gradients are finite; use --amp bf16, or another execution"
            )

    def at(self, batch: int) -> "Request":
        """Return the same request for another batch."""
        setup = replace(self.conditions.setup, batch=batch)
        return replace(self, conditions=replace(self.conditions, setup=setup))

    def to_json(self) -> str:
        """Return the request as one line of JSON."""
        return json.dumps(
            {
                "conditions": plain(self.conditions),
                "plan": plain(self.plan),
                "trace": trace_to_json(self.trace),
            }
        )


def from_json(text: str) -> Request:
    """Return the request that `Request.to_json` wrote."""
    document: dict[str, Any] = json.loads(text)
    said = document["conditions"]
    conditions = Conditions(
        **{
            **said,
            "setup": Setup(**said["setup"]),
            "execution": Execution(said["execution"]),
            "protocol": Protocol(said["protocol"]),
        }
    )
    return Request(conditions, Plan(**document["plan"]), trace_from_json(document["trace"]))
