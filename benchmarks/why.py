"""Why VGG is slower: writes the tables of docs/why-vgg-is-slower.md.

    python benchmarks/why.py

It needs the cuDNN of torch 2.15 (see `vggprof cudnn list`). The prose of the page is written by hand: only
what stands between `<!-- name -->` and `<!-- end -->` is replaced.
"""

from collections import defaultdict
from collections.abc import Iterator
from math import exp
from pathlib import Path

from pages import Tables, filled, share

from vggprof import api
from vggprof.analyzers import tensor_memory
from vggprof.compare import Cause, Comparison, Quantity, compare, profile, say_scale
from vggprof.latency.predict import Latency
from vggprof.target import Target
from vggprof.trace import Kind, Setup
from vggprof.units import format_bytes, format_count

PAGE = Path(__file__).parents[1] / "docs" / "why-vgg-is-slower.md"
TARGET = Target(gpu="RTX 3060", torch="2.15", allocator="")
CUDNN = "9.26.0.51"
BATCH, BATCHES = 32, (1, 32, 128)
PAIR = ("alexnet", "vgg11")
TIME_CAUSES = (Cause.MORE_WORK, Cause.TIME_PER_MAC, Cause.OUTSIDE)
EDITS = (
    "stage1 stride 4",
    "stage1 stride 2",
    "width 0.5",
    "single kernels",
    "1x1 for 3x3",
    "no classifier",
    "stage1 stride 2; width 0.5; no classifier",
)
SWITCHED = (*PAIR, *(f"vgg11 with {edit}" for edit in EDITS), "vgg16")


def tensors_alone(archs: tuple[str, ...]) -> Comparison:
    """Return *archs* side by side, on no card."""
    return compare([profile(api.trace_arch(arch, Setup(batch=BATCH))) for arch in archs])


def times(x: float | None) -> str:
    """Return a ratio."""
    return "-" if x is None else f"{x:.2f}\N{NO-BREAK SPACE}x"


def switched() -> Iterator[list[str]]:
    """Yield what each network costs, and how many times that is what AlexNet costs."""
    side_by_side = tensors_alone(SWITCHED)
    for arch, ratio in zip(side_by_side.archs, side_by_side.ratios, strict=True):
        yield [
            arch.name,
            f"{arch.params:,} ({times(ratio.params)})",
            f"{format_count(arch.macs)} ({times(ratio.macs)})",
            f"{format_bytes(arch.saved_bytes)} ({times(ratio.saved_bytes)})",
            f"{format_bytes(arch.peak_allocated_bytes)} ({times(ratio.peak_allocated_bytes)})",
        ]


def kinds() -> Iterator[list[str]]:
    """Yield what the peak of tensors is made of at each batch, a row a kind."""
    asked = [(arch, batch) for batch in BATCHES for arch in PAIR]
    parts = [tensor_memory(api.trace_arch(arch, Setup(batch=batch))).breakdown_bytes for arch, batch in asked]
    for kind in Kind:
        if any(part[kind] for part in parts):
            cells = [
                f"{format_bytes(part[kind])} ({share(part[kind], sum(part.values()))})" for part in parts
            ]
            yield [kind.value.replace("_", " "), *cells]
    yield ["all", *(format_bytes(sum(part.values())) for part in parts)]


def latency(arch: str) -> Latency:
    """Return how long a step of *arch* takes on the card."""
    predicted = api.latency(arch, Setup(batch=BATCH), TARGET).single
    assert predicted is not None
    return predicted


def steps() -> Iterator[list[str]]:
    """Yield how long a step of each network takes on the card. Needs cuDNN."""
    first = latency(SWITCHED[0]).step.likely
    for arch in SWITCHED:
        step = latency(arch).step
        yield [
            arch,
            f"{step.likely:.0f} ms",
            f"{step.low:.0f} to {step.high:.0f} ms",
            times(step.likely / first),
        ]


def by_operator() -> Iterator[list[str]]:
    """Yield what the GPU spends on each kind of layer in a step, and the share of all layers. Needs cuDNN."""
    sums: list[defaultdict[str, float]] = [defaultdict(float), defaultdict(float)]
    for arch, spent in zip(PAIR, sums, strict=True):
        for layer in latency(arch).layers:
            spent[layer.op] += layer.total_ms
    for op in sorted(sums[1], key=lambda op: -sums[1][op]):
        cells = [f"{spent[op]:.1f} ms ({100 * spent[op] / sum(spent.values()):.0f} %)" for spent in sums]
        if sums[1][op] > 0:
            yield [op, *cells]


def time_causes() -> Iterator[list[str]]:
    """Yield what the ratio of the predicted times is made of, a row a resolution. Needs cuDNN."""
    found = api.compare(PAIR, Setup(batch=BATCH), TARGET)
    (split,) = (split for split in found.against[0].splits if split.quantity is Quantity.STEP_MS)
    factors = {(part.stage, part.cause): exp(part.value) for part in split.parts}
    for stage in (*(say_scale(line.halvings) for line in found.lines), None):
        parts = (times(factors.get((stage, cause))) for cause in TIME_CAUSES)
        yield [stage or "no layer", *parts, times(split.stages[stage])]
    causes = (times(split.causes[cause]) for cause in TIME_CAUSES)
    yield ["product", *causes, times(split.ratio)]


TABLES: Tables = {
    "switched": (
        ("network", "parameters", "MACs forward", "saved for backward", "peak of tensors"),
        switched,
    ),
    "kinds": (("held at the peak", *(f"{arch}, batch {batch}" for batch in BATCHES for arch in PAIR)), kinds),
    "steps": (("network", "a step", "interval", "/ alexnet"), steps),
    "time": (("resolution", *(cause.said for cause in TIME_CAUSES), "product"), time_causes),
    "operators": (("layers", *PAIR), by_operator),
}

if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), TABLES), encoding="utf-8")
