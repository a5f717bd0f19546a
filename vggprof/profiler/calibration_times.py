"""Times of a calibration: steps of a few networks on the GPU that is here, to which predictions are drawn."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from vggprof.devices.here import GpuHere
from vggprof.errors import GpuUnavailable
from vggprof.measurement import Conditions, Measurement, Status
from vggprof.profiler import isolation
from vggprof.profiler.plan import Plan, Request
from vggprof.trace import Amp, Setup, Trace

# Convolutions of many kernels (VGG), of few and small ones (ResNet), large products (AlexNet): what they take
# differs in how much of it is arithmetic, traffic, launches and the host. Each fits into 4 GiB.
_NETWORKS: Final = (
    ("vgg11", Setup(batch=16)),
    ("resnet18", Setup(batch=32)),
    ("alexnet", Setup(batch=64)),
    ("resnet18", Setup(batch=1)),
)
# The same on tensor cores, where there are any.
_ON_TENSOR_CORES: Final = (
    ("vgg11", Setup(batch=16, amp=Amp.FP16)),
    ("resnet18", Setup(batch=32, amp=Amp.FP16)),
)
_PLAN: Final = Plan(steps=50, limit_s=120.0)

Measure: TypeAlias = Callable[[Request, Callable[[str], None]], Measurement]


def time_steps(
    gpu: GpuHere,
    trace: Callable[[str, Setup], Trace],
    say: Callable[[str], None],
    *,
    measure: Measure = isolation.measure,
) -> tuple[Measurement, ...]:
    """Return the measurements of steps on *gpu* that came to an end; *say* hears of each, and of why not.

    *trace* gives the trace of a network in a setup, *measure* runs it in a process of its own.
    """
    return tuple(_timed(gpu, trace, say, measure))


def _timed(
    gpu: GpuHere, trace: Callable[[str, Setup], Trace], say: Callable[[str], None], measure: Measure
) -> Iterator[Measurement]:
    tensor = gpu.device.tensor_fma_per_sm is not None
    for arch, setup in (*_NETWORKS, *(_ON_TENSOR_CORES if tensor else ())):
        what = f"{arch} at batch {setup.batch}" + ("" if setup.amp is Amp.OFF else f" under amp {setup.amp}")
        say(f"{gpu.name}: timing {what}")
        request = Request(Conditions(arch, setup, "cuda"), _PLAN, trace(arch, setup))
        try:
            made = measure(request, lambda _text: None)
        except GpuUnavailable as error:
            say(f"no times: {error}")
            return
        if made.status is not Status.OK:
            say(f"no time of {what}: {made.message}")
        elif made.environment.device_name != gpu.name:
            say(f"no time of {what}: it ran on {made.environment.device_name}")
        else:
            yield made
