"""Recorded GPU runs, and the predictions that answer to them."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vggprof.devices import Device, Range, find_device
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.libraries import find_libraries
from vggprof.memory.workspaces.targets import choose
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Amp, Dtype, Layout, Mode, Optimizer, Setup, Trace
from vggprof.trace.traces import Traces
from vggprof.tracing import trace_network

RECORDED = Path(__file__).parents[1] / "recorded"

_DTYPES: Mapping[str, dict[str, Any]] = {
    "fp32": {},
    "amp_fp16": {"amp": Amp.FP16},
    "amp_bf16": {"amp": Amp.BF16},
    "infer_fp32": {"mode": Mode.INFER},
    "infer_fp16": {"mode": Mode.INFER, "dtype": Dtype.FP16},
}


@dataclass(frozen=True)
class Recording:
    """One folder of recorded runs."""

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the runs were made on."""
        first = next(iter(self._lines("memory.jsonl")))
        about: dict[str, Any] = first["about"]
        return about

    def rows(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of *kind* that ran."""
        for row in self._lines(f"{kind}.jsonl"):
            if "config" in row and "error" not in row:
                yield row

    def events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the recorded allocator events of *kind*, one a configuration."""
        path = self.folder / f"{kind}-events.jsonl.gz"
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                yield from map(json.loads, file)

    @property
    def software(self) -> Software:
        """What the runs were made with, answered for by the cuDNN of the same version where it is at hand."""
        major, rest = divmod(self.about["cudnn"], 10_000)
        cudnn = f"{major}.{rest // 100}"
        torch = tuple(int(number) for number in self.about["torch"].split(".")[:2])
        cuda = tuple(int(number) for number in self.about["cuda"].split(".")[:2])
        choice = choose(find_libraries(), cudnn=cudnn)
        return Software((torch[0], torch[1]), (cuda[0], cuda[1]), choice, CudnnSettings(), AllocatorConfig())

    @property
    def device(self) -> Device:
        """The GPU, with the total that torch saw."""
        total = Range.exact(self.about["total_memory"])
        return find_device(self.about["gpu"]).with_usable(total, "recorded")

    def forecast(self, config: dict[str, Any]) -> Forecast:
        """Return the forecast for one recorded configuration."""
        return Forecast(Traces(lambda batch: trace_of(config, batch)), self.software)

    def card(self, config: dict[str, Any]) -> Card:
        """Return the card that a configuration ran on; the large one stands in for a smaller one."""
        limit = int(config["capacity_gib"] * 2**30) if config["capacity_gib"] else None
        return Card(self.device, limit_bytes=limit, context=Range.exact(0))

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.folder / name
        if path.exists():
            with path.open(encoding="utf-8") as file:
                yield from map(json.loads, file)


def recordings() -> list[Recording]:
    """Return every folder of recorded runs."""
    return [Recording(folder) for folder in sorted(RECORDED.iterdir()) if folder.is_dir()]


def trace_of(config: dict[str, Any], batch: int) -> Trace:
    """Return the trace of a recorded configuration at *batch*."""

    keywords = (
        ",aux_logits=False,init_weights=False" if config["net"] in ("googlenet", "inception_v3") else ""
    )
    arch = f"torchvision.models:{config['net']}@input=3x{config['hw']}x{config['hw']}{keywords}"
    network = load(parse_arch(arch))
    setup = Setup(
        batch=batch,
        optimizer=Optimizer(config["optimizer"]),
        layout=Layout.CHANNELS_LAST if config["layout"] == "nhwc" else Layout.CONTIGUOUS,
        **_DTYPES[config["dtype"]],
    )
    return trace_network(network.module, network.input_shape, setup, arch=arch)
