"""MACs of every shipped spec against torch's and fvcore's counters."""

import logging
from collections import Counter

import pytest
import torch
from real_traces import spec_trace
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vggprof.analyzers import layer_table
from vggprof.network import from_spec
from vggprof.spec import read_spec
from vggprof.spec.shipped import find_shipped, shipped_names
from vggprof.trace import Mode, Setup

NAMES = shipped_names()


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    spec = read_spec(find_shipped(name))
    return from_spec.build(spec).eval(), (1, *spec.input)


@pytest.mark.parametrize("name", NAMES)
def test_torch_counts_exactly_twice_as_much(name: str) -> None:
    module, shape = network(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(shape, device="meta"))
    assert (
        counter.get_total_flops() == 2 * layer_table(spec_trace(name, Setup(mode=Mode.INFER))).totals.macs > 0
    )


@pytest.mark.filterwarnings("ignore")  # fvcore traces with torch.jit, which is deprecated
@pytest.mark.parametrize("name", NAMES)
def test_fvcore_counts_the_same_in_convolutions_and_linear_layers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fvcore.nn import FlopCountAnalysis  # noqa: PLC0415 - it warns when imported

    monkeypatch.setattr(logging.getLogger("fvcore.nn.jit_analysis"), "disabled", True)
    module, shape = network(name)
    for tensor in (*module.to_empty(device="cpu").parameters(), *module.buffers()):
        tensor.data.zero_()  # whatever was in memory may be slow to compute with
    analysis = FlopCountAnalysis(module, torch.zeros(shape)).by_module_and_operator()
    ours = {layer.name: layer.macs for layer in layer_table(spec_trace(name, Setup(mode=Mode.INFER))).rows}
    theirs = {
        path: Counter(operators)["conv"] + Counter(operators)["linear"]
        for path, operators in analysis.items()
        if isinstance(dict(module.named_modules())[path], nn.Conv2d | nn.Linear)
    }
    assert theirs
    assert theirs == {path: macs for path, macs in ours.items() if macs}
