"""When advice helps and when not: writes the tables of docs/advice.md, about the training of VGG-16.

    python benchmarks/advice.py

It needs the cuDNN of torch 2.15 (see `vggprof cudnn list`). The prose of the page is written by hand: only
what stands between `<!-- name -->` and `<!-- end -->` is replaced.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from pages import Tables, filled, share

from vggprof import api
from vggprof.analyzers import tensor_memory
from vggprof.target import Target
from vggprof.trace import Amp, Kind, Layout, Optimizer, Setup, ZeroGrad
from vggprof.units import format_bytes

PAGE = Path(__file__).parents[1] / "docs" / "advice.md"
ARCH, BATCHES = "vgg16", (1, 128)
TARGET = Target(gpu="H200", torch="2.15", allocator="")
CUDNN = "9.26.0.51"

# A change, what the training has that is changed, and what it has then.
Change: TypeAlias = tuple[str, dict[str, Any], dict[str, Any]]
SETUPS: tuple[Change, ...] = (
    ("in-place activations", {}, {"inplace": True}),
    ("gradients set to None", {"zero_grad": ZeroGrad.ZERO}, {"zero_grad": ZeroGrad.NONE}),
    ("channels_last", {}, {"layout": Layout.CHANNELS_LAST}),
    ("half the batch, twice", {}, {"accumulate": 2}),
    ("autocast to bf16", {}, {"amp": Amp.BF16}),
    ("every stage but the classifier checkpointed", {}, {"checkpoint": "stages"}),
    ("momentum instead of Adam", {"optimizer": Optimizer.ADAM}, {"optimizer": Optimizer.MOMENTUM}),
    ("SGD without momentum", {}, {"optimizer": Optimizer.SGD}),
    ("backbone frozen", {}, {"freeze": "backbone"}),
)
SETTINGS: tuple[Change, ...] = (
    ("expandable segments", {}, {"allocator": "expandable_segments:True"}),
    ("max_split_size_mb 128", {}, {"allocator": "max_split_size_mb:128"}),
    ("max_split_size_mb 512", {}, {"allocator": "max_split_size_mb:512"}),
    ("cudnn.benchmark off", {"benchmark": True}, {"benchmark": False}),
    ("cudnn.deterministic off", {"deterministic": True}, {"deterministic": False}),
)


def setup(batch: int, changes: dict[str, Any]) -> Setup:
    """Return the setup with *changes*; with pieces there are as many images a step."""
    changed = replace(Setup(batch=batch), **changes)
    return replace(changed, batch=max(batch // changed.accumulate, 1))


def tensors(asked: Setup) -> int:
    """Return the peak of tensors alone."""
    return tensor_memory(api.trace_arch(ARCH, asked)).peak.allocated_bytes


def kinds() -> Iterator[list[str]]:
    """Yield what the peak of tensors is made of, a row a kind."""
    parts = [tensor_memory(api.trace_arch(ARCH, Setup(batch=batch))).breakdown_bytes for batch in BATCHES]
    for kind in Kind:
        if any(part[kind] for part in parts):
            cells = [
                f"{format_bytes(part[kind])} ({share(part[kind], sum(part.values()))})" for part in parts
            ]
            yield [kind.value.replace("_", " "), *cells]


def by_tensors() -> Iterator[list[str]]:
    """Yield what each changed setup takes off the peak of tensors."""
    for name, asked, change in SETUPS:
        cells = []
        for batch in BATCHES:
            if batch == 1 and "accumulate" in change:
                cells.append("cannot be halved")
                continue
            before, after = tensors(setup(batch, asked)), tensors(setup(batch, {**asked, **change}))
            cells.append(saved(before, after))
        yield [name, *cells]


def by_process() -> Iterator[list[str]]:
    """Yield what each changed setting takes off the whole process, at the high end. Needs cuDNN."""
    for name, asked, change in SETTINGS:
        cells = []
        for batch in BATCHES:
            before, after = (process(batch, {**asked, **more}) for more in ({}, change))
            cells.append(saved(before, after))
        yield [name, *cells]


def process(batch: int, settings: dict[str, Any]) -> int:
    """Return what the process takes at the high end of what is not known."""
    report = api.check(ARCH, Setup(batch=batch), replace(TARGET, **settings)).report
    assert report.single is not None
    return report.single.prediction.process.high


def saved(before: int, after: int) -> str:
    """Return by how much less *after* is, and the share of *before*; what is more has a minus."""
    return f"{format_bytes(before - after)} ({share(before - after, before)})"


TABLES: Tables = {
    "kinds": (("kind", "batch 1", "batch 128"), kinds),
    "setups": (("change", "saves at batch 1", "saves at batch 128"), by_tensors),
    "settings": (("change", "saves at batch 1", "saves at batch 128"), by_process),
}


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), TABLES), encoding="utf-8")
