"""Requests and networks for tests of the profiler: small, and with faults of every kind."""

from pathlib import Path

from vggprof import api
from vggprof.measurement import Conditions, Execution
from vggprof.profiler.plan import Plan, Request
from vggprof.trace import Setup

SPEC = """\
name: small
title: A small network
source: made for tests
input: 3x32x32
layers:
  - conv1: {conv: 16, kernel: 3, then: relu}
  - pool1: {max_pool: 2}
  - conv2: {conv: 32, kernel: 3, then: relu}
  - flatten
  - fc: {linear: 10}
"""

# A network that is well on meta, where it is traced, and has a fault where it is run.
FAULTS = """\
import os, signal, threading
import torch
from torch import nn

def hang():
    threading.Event().wait()

FAULTS = {
    "no": lambda: None,
    "hang": hang,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "raise": lambda: torch.ones(2).view(3),
    "memory": lambda: torch.empty(2**46),
    "print": lambda: print('{"say": "not from us"}'),
}

class Net(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.fc = nn.Linear(12, 4)
        self.fault = fault

    def forward(self, x):
        if not x.is_meta:
            FAULTS[self.fault]()
        return self.fc(x.flatten(1))

def build(fault="no"):
    return Net(fault)
"""

QUICK = Plan(steps=3, warmup_s=0)


def small(folder: Path) -> str:
    """Write a small spec into *folder* and return its ARCH."""
    (folder / "small.yaml").write_text(SPEC)
    return str(folder / "small.yaml")


def faulty(folder: Path, fault: str) -> str:
    """Write a network with a *fault* into *folder* and return its ARCH."""
    (folder / "faults.py").write_text(FAULTS)
    return f"{folder / 'faults.py'}:build@input=3x2x2,fault={fault}"


def request(
    arch: str,
    setup: Setup | None = None,
    plan: Plan = QUICK,
    *,
    memory_limit_bytes: int | None = None,
    execution: Execution = Execution.EAGER,
    device: str = "cpu",
) -> Request:
    """Return a request to measure *arch*."""
    setup = setup or Setup(batch=2)
    conditions = Conditions(arch, setup, device, execution=execution, memory_limit_bytes=memory_limit_bytes)
    return Request(conditions, plan, api.trace_arch(arch, setup))
