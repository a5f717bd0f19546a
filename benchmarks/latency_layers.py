"""Per-layer times of Caffe on a Titan X (Maxwell), beside predictions: tests/data/latency/layers.csv.

The two networks whose layers the shipped specs have. cuDNN is that of its fourth release, which had no
Winograd, and Caffe gives it 8 MiB of workspace, too little for the FFT. The gradient of a bias runs beside
those of the weights and of the input, in another stream (cudnn_conv_layer.cu): what takes longer counts.
These two, also in streams of their own, are summed. Coefficients are the shipped ones.
"""

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from latency_rows import Row, trace_of, work_of

from vggprof.latency.coefficients import Coefficients, coefficients
from vggprof.latency.pricing import Pricer
from vggprof.latency.work import Traffic
from vggprof.trace import Phase

# The networks of the file, and what they are called in nets.csv.
NETWORKS = {"alexnet": "alexnet", "vgg_a": "vgg11"}
_KINDS = {"Conv2d": "conv", "ReLU": "relu", "MaxPool2d": "pool", "Linear": "fc"}


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One layer of one network in one phase."""

    network: str
    layer: str
    phase: Phase
    measured_ms: float
    predicted_ms: float


def layer_times(data: Path, fitted: Coefficients | None = None) -> tuple[LayerTime, ...]:
    """Return every layer of the networks of NETWORKS, with the prediction beside it."""
    measured = _measured(data)
    return tuple(
        LayerTime(network, name, phase, measured[network][phase][name], predicted)
        for network in NETWORKS
        for phase in (Phase.FORWARD, Phase.BACKWARD)
        for name, predicted in zip(
            measured[network][phase], _predicted(network, phase, fitted or coefficients()), strict=True
        )
    )


def _measured(data: Path) -> dict[str, dict[Phase, dict[str, float]]]:
    found: defaultdict[str, defaultdict[Phase, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    with (data / "layers.csv").open(encoding="utf-8", newline="") as file:
        for read in csv.DictReader(file):
            if read["layer"] != "input":
                found[read["model"]][Phase(read["phase"])][read["layer"]] = float(read["ms"])
    return {model: dict(phases) for model, phases in found.items()}


def _predicted(network: str, phase: Phase, fitted: Coefficients) -> Iterator[float]:
    """Yield the milliseconds of convolutions, pools and products, and of the ReLUs before the products."""
    row = Row(
        arch=NETWORKS[network],
        input=224,
        batch=128 if network == "alexnet" else 64,
        mode=phase.value,
        dtype="fp32",
        layout="contiguous",
        framework="caffe",
        version="",
        cudnn="R4",
        gpu="GeForce GTX TITAN X (Maxwell)",
        ms=0.0,
        copied=False,
        excluded="",
    )
    pricer = Pricer(row.device, fitted)
    sums: defaultdict[int | None, float] = defaultdict(float)
    beside: defaultdict[int | None, float] = defaultdict(float)
    for work in work_of(row)[1]:
        price = pricer.price(work)
        (beside if price.way.traffic is Traffic.BIAS_GRADIENT else sums)[work.layer] += 1000 * price.total_s
    for at, ms in beside.items():
        sums[at] = max(sums[at], ms)
    products = False
    for index, layer in enumerate(trace_of(row.named, row.setup).layers):
        kind = _KINDS.get(layer.op)
        products = products or kind == "fc"
        if kind is not None and not (products and kind == "relu"):
            yield sums[index]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's coefficient; equal values are ranked as they come."""
    ranks = [np.argsort(np.argsort(values)).tolist() for values in (first, second)]
    return statistics.correlation(*ranks)


def layers_table(data: Path) -> str:
    """Return a line a network and phase: rank correlation, and the totals."""
    times = layer_times(data)
    lines = ["| network | phase | layers | rank correlation | measured ms | predicted ms | off |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for network in NETWORKS:
        for phases in ((Phase.FORWARD,), (Phase.BACKWARD,), (Phase.FORWARD, Phase.BACKWARD)):
            mine = [time for time in times if time.network == network and time.phase in phases]
            measured, predicted = ([t.measured_ms for t in mine], [t.predicted_ms for t in mine])
            off = sum(predicted) / sum(measured) - 1
            name = " and ".join(phase.value for phase in phases)
            lines.append(
                f"| {network} | {name} | {len(mine)} | {rank_correlation(measured, predicted):.3f} "
                f"| {sum(measured):.1f} | {sum(predicted):.1f} | {100 * off:+.1f} % |"
            )
    return "\n".join(lines)
