"""What is measured inside one process, with torch imported: tracing, against fvcore and against depth.

Prints JSON for speed.py. All times are medians of warm runs, except fvcore's at batch 32, which is one run.
"""

import argparse
import json
import logging
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import nn

from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Setup, Trace
from vggprof.tracing import trace_network

IMAGE = (3, 224, 224)
# A convolution and a ReLU are 14 operators in three training steps: these make about 5,000 and twice as many.
PAIRS = (360, 720)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="without fvcore at batch 32")
    options = parser.parse_args()
    net = on_cpu()
    result = {
        "trace_s": seconds(vgg16_tracer(), options.repeat),
        "fvcore_1_s": seconds(fvcore_counter(net, 1), options.repeat),
        "fvcore_32_s": None if options.quick else seconds(fvcore_counter(net, 32), 1, warm=False),
        "depth": depth(options.repeat),
    }
    print(json.dumps(result))


def seconds(task: Callable[[], object], repeat: int, *, warm: bool = True) -> float:
    """Return the median time of *task* in seconds, after one run that does not count if *warm*."""
    if warm:
        task()
    return median(timed(task) for _ in range(repeat))


def timed(task: Callable[[], object]) -> float:
    """Return the time of one run in seconds."""
    start = perf_counter()
    task()
    return perf_counter() - start


def vgg16_tracer() -> Callable[[], Trace]:
    """Return what traces three training steps of a VGG-16 at batch 32; building it does not count."""
    network = load(parse_arch("vgg16"))
    return lambda: trace_network(network.module, network.input_shape, Setup(batch=32), arch="vgg16")


def fvcore_counter(net: nn.Module, batch: int) -> Callable[[], int]:
    """Return what counts one forward pass of *net* with fvcore, which runs it."""
    from fvcore.nn import FlopCountAnalysis  # noqa: PLC0415 - warns on import

    images = torch.ones(batch, *IMAGE)
    return lambda: int(FlopCountAnalysis(net, images).unsupported_ops_warnings(False).total())


def depth(repeat: int) -> list[tuple[int, float]]:
    """Return the operators of each chain and the median seconds that its trace takes, measured in turns."""
    chains = [chain(pairs) for pairs in PAIRS]
    operators = [len(trace_chain(net).operators) for net in chains]
    times = [[timed(partial(trace_chain, net)) for net in chains] for _ in range(repeat)]
    return list(zip(operators, map(median, zip(*times, strict=True)), strict=True))


def chain(pairs: int) -> nn.Module:
    """Return a chain of *pairs* small convolutions and ReLUs on meta."""
    with torch.device("meta"):
        layers = (layer for _ in range(pairs) for layer in (nn.Conv2d(4, 4, 1), nn.ReLU()))
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def trace_chain(net: nn.Module) -> Trace:
    """Trace three training steps of a chain."""
    return trace_network(net, (4, 8, 8), Setup(), arch="chain")


def on_cpu() -> nn.Module:
    """Return VGG-16 with memory on the CPU; small weights, for subnormal numbers would slow fvcore down."""
    net = load(parse_arch("vgg16")).module.to_empty(device="cpu").eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.01)
    return net


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    main()
