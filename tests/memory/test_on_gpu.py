"""Predictions against the GPU that is here: the reference loop run for real, every allocation compared."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded_runs import trace_of

from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.run import run
from vggprof.target import Target
from vggprof.trace.traces import Traces

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    pytest.mark.skipif(
        not Target().software().cudnn.exact, reason="needs the cuDNN of the torch that is here"
    ),
]

BASE = {"net": "vgg16", "batch": 8, "dtype": "fp32", "layout": "nchw", "optimizer": "momentum", "hw": 224}
CONFIGS = [
    BASE,
    {**BASE, "net": "alexnet", "optimizer": "adam"},
    {**BASE, "net": "resnet18", "dtype": "amp_fp16", "layout": "nhwc"},
    {**BASE, "net": "resnet18", "dtype": "infer_fp16"},
    {**BASE, "net": "mobilenet_v2"},
]


def measured(config: dict[str, Any]) -> dict[str, Any]:
    """What one run in a process of its own took: peaks and the sizes of all allocations, in order."""
    script = Path(__file__).with_name("run_on_gpu.py")
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(config)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "PYTORCH_ALLOC_CONF": ""},
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: "-".join(map(str, config.values())))
def test_every_allocation_and_every_peak(config: dict[str, Any], torchvision: object) -> None:
    real = measured(config)
    (here,) = Target(gpu="auto").cards()
    with Forecast(Traces(lambda batch: trace_of(config, batch)), Target().software()) as forecast:
        timeline, answers, room = forecast.asked(config["batch"], Card(here.device))
    ran = run(timeline, answers, room.endless)
    assert list(ran.requested) == real["requested"]
    assert ran.peak_allocated_bytes == real["peak_allocated"]
    assert ran.peak_reserved_bytes == real["peak_reserved"]
