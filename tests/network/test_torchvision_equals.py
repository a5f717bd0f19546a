"""A spec "as in torchvision" runs what torchvision's factory runs: every operator, with every argument."""

from types import ModuleType
from typing import Any

import pytest
import torch
from shapes import shipped
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

NETS = [
    *("alexnet", "googlenet", "mobilenet_v2", "resnet18", "resnet50"),
    *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
]
KEYWORDS = {"googlenet": {"aux_logits": False, "init_weights": False}}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down each operator with the shapes of its tensors and its other arguments."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[object] = []

    def __torch_dispatch__(  # as torch declares it
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        out = func(*args, **(kwargs or {}))
        self.events.append((str(func), plain(args), plain(kwargs or {}), plain(out)))
        return out


def plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return ("tensor", tuple(value.shape), value.dtype)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def step(network: nn.Module, *, training: bool) -> list[object]:
    """Return what runs in one training step (forward, loss, backward) or one inference."""
    network = network.train(training)
    image = torch.empty((2, 3, 224, 224), device="meta")
    target = torch.empty(2, dtype=torch.long, device="meta")
    with Recorder() as recorder, torch.set_grad_enabled(training):
        out = network(image)
        if training:
            nn.functional.cross_entropy(out, target).backward()  # type: ignore[no-untyped-call]
    return list(recorder.events)


def factory(torchvision: ModuleType, name: str) -> nn.Module:
    with torch.device("meta"):
        network = getattr(torchvision.models, name)(**KEYWORDS.get(name, {}))
    assert isinstance(network, nn.Module)
    return network


@pytest.mark.parametrize("name", NETS)
def test_the_same_operators_in_training_and_inference(torchvision: ModuleType, name: str) -> None:
    ours, theirs = shipped(name), factory(torchvision, name)
    for training in (True, False):
        events = step(ours, training=training)
        assert len(events) > 20
        assert events == step(theirs, training=training)


@pytest.mark.parametrize("name", NETS)
def test_the_same_state_in_the_same_order(torchvision: ModuleType, name: str) -> None:
    ours, theirs = shipped(name).state_dict(), factory(torchvision, name).state_dict()
    assert [(value.shape, value.dtype) for value in ours.values()] == [
        (value.shape, value.dtype) for value in theirs.values()
    ]


@pytest.mark.parametrize("name", ["googlenet", "resnet18", "resnet50"])
def test_torchvisions_weights_have_the_same_names(torchvision: ModuleType, name: str) -> None:
    assert list(shipped(name).state_dict()) == list(factory(torchvision, name).state_dict())
