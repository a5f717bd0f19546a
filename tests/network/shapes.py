"""What comes out of each layer of a network, found by running it on meta."""

from typing import Any, NamedTuple

import torch
from torch import fx

from vggprof.network import build
from vggprof.spec import find_shipped, read_spec


class Executed(NamedTuple):
    """One layer as it ran, on one image."""

    name: str
    kind: str  # the module's class
    shape: tuple[int, ...]
    params: int


def shipped(name: str, **overrides: str) -> fx.GraphModule:
    """Return the network of a shipped spec, on meta."""
    return build(read_spec(find_shipped(name), overrides))


def executed(network: fx.GraphModule, input_shape: tuple[int, ...]) -> list[Executed]:
    """Return the layers of *network* in the order they run."""
    recorder = _Recorder(network.eval())
    with torch.no_grad():
        recorder.run(torch.empty((1, *input_shape), device="meta"))
    return recorder.layers


class _Recorder(fx.Interpreter):
    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.layers: list[Executed] = []

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - as fx declares it
        out = super().call_module(target, args, kwargs)
        module = self.fetch_attr(target)
        params = sum(parameter.numel() for parameter in module.parameters())
        self.layers.append(Executed(target, type(module).__name__, tuple(out.shape[1:]), params))
        return out


def count(network: fx.GraphModule) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
