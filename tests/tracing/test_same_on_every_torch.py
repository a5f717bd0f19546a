"""Traces do not depend on the release of torch: digests that hold under every torch that is tested."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from vggprof.analyzers.stages import stage_names
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Setup, ZeroGrad
from vggprof.trace.files import to_json
from vggprof.tracing import trace_network
from vggprof.views.phrases import say_setup

ARCHS = ("lenet5", "alexnet", "vgg11_bn", "resnet18", "googlenet", "mobilenet_v2")
SETUPS = (
    Setup(batch=4),
    Setup(batch=4, optimizer=Optimizer.ADAM, amp=Amp.FP16, layout=Layout.CHANNELS_LAST),
    Setup(batch=4, optimizer=Optimizer.RMSPROP, amp=Amp.BF16),
    Setup(batch=4, mode=Mode.INFER, dtype=Dtype.FP16),
    Setup(batch=4, accumulate=2, zero_grad=ZeroGrad.ZERO, freeze="backbone"),
    Setup(batch=4, amp=Amp.FP16, checkpoint="stages", inplace=True),
)


@pytest.mark.parametrize("arch", ARCHS)
def test_traces_are_the_same_event_by_event(arch: str, golden: Callable[[str, str], None]) -> None:
    golden(f"trace-{arch}.txt", "".join(f"{_digest(arch, setup)}  {say_setup(setup)}\n" for setup in SETUPS))


def _digest(arch: str, setup: Setup) -> str:
    """Digest of the whole trace but for the name of the torch that made it."""
    network = load(parse_arch(arch))
    trace = trace_network(network.module, network.input_shape, setup, arch=arch, stages=stage_names)
    assert len(trace.events) > 20
    return hashlib.sha256(to_json(replace(trace, torch_version="")).encode()).hexdigest()
