"""What is measured inside one process, with torch imported: tracing, against fvcore and against depth.

Prints JSON for speed.py. All times are medians of warm runs, except fvcore's at batch 32, which is one run.
"""

import argparse
import json
import logging
import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from torch import nn

from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Setup, Trace
from vggprof.tracing import trace_network

IMAGE = (3, 224, 224)
# A convolution and a ReLU are about 12 operators in three training steps.
PAIRS = (100, 200, 400, 850)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="without fvcore at batch 32")
    options = parser.parse_args()
    result = {
        "trace_s": seconds(vgg16_tracer(), options.repeat),
        "fvcore_1_s": seconds(lambda: fvcore_count(1), options.repeat),
        "fvcore_32_s": None if options.quick else seconds(lambda: fvcore_count(32), 1, warm=False),
        "depth": [depth(pairs) for pairs in PAIRS],
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


def fvcore_count(batch: int) -> int:
    """Count VGG-16's forward pass with fvcore, which runs it on the CPU; building it does not count."""
    from fvcore.nn import FlopCountAnalysis  # noqa: PLC0415 - warns on import

    return int(FlopCountAnalysis(VGG16, torch.zeros(batch, *IMAGE)).unsupported_ops_warnings(False).total())


def depth(pairs: int) -> tuple[int, float]:
    """Return the operators of a chain of convolutions and ReLUs, and the seconds that its trace takes."""
    with torch.device("meta"):
        layers = (layer for _ in range(pairs) for layer in (nn.Conv2d(4, 4, 1), nn.ReLU()))
        net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def chain() -> Trace:
        return trace_network(net, (4, 8, 8), Setup(), arch="chain")

    operators = len(chain().operators)
    return operators, seconds(chain, 3, warm=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    with torch.device("cpu"):
        VGG16 = load(parse_arch("vgg16")).module.to_empty(device="cpu").eval()
    main()
