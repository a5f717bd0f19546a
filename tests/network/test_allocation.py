"""A network in real memory runs: right shapes, forward and backward, from weights that were initialised."""

import pytest
import torch
from shapes import shipped
from torch import fx, nn

from vggprof.errors import ArchError
from vggprof.network import materialize
from vggprof.spec import shipped_names

# Small enough for a laptop; the smallest inputs are those that leave a pixel after the last pooling.
SMALL = {
    "alexnet": {"input": "3x63x63"},
    "alexnet-2012": {"input": "3x67x67"},
    "alexnet-d2l": {"input": "1x67x67"},
    "googlenet": {"input": "3x64x64"},
    "lenet5": {},
    "mobilenet_v2": {"input": "3x64x64"},
    "nin": {"input": "1x67x67"},
    "nin-imagenet": {"input": "3x67x67"},
    "resnet18": {"input": "3x64x64", "width": "8"},
    "resnet50": {"input": "3x64x64", "width": "8"},
    "vgg11-d2l": {"input": "1x32x32", "width": "4"},
}


def small(name: str) -> tuple[fx.GraphModule, tuple[int, ...]]:
    """Return a small variant of a shipped spec in memory, and the shape of an image."""
    overrides = SMALL.get(name, {"input": "3x32x32", "width": "4"})
    shape = tuple(int(size) for size in overrides.get("input", "1x28x28").split("x"))
    torch.manual_seed(0)
    network = materialize(shipped(name, classes="5", **overrides), "cpu")
    assert isinstance(network, fx.GraphModule)
    return network, shape


@pytest.mark.parametrize("name", shipped_names())
def test_forward_and_backward(name: str) -> None:
    network, shape = small(name)
    out = network(torch.randn(2, *shape))
    assert out.shape == (2, 5)
    nn.functional.cross_entropy(out, torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", ["lenet5", "resnet18"])
def test_weights_are_those_that_torch_gives_and_the_seed_repeats(name: str) -> None:
    first, second = small(name)[0].state_dict(), small(name)[0].state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[path], second[path]) for path in first)
    weights = [value for path, value in first.items() if value.dim() > 1]
    assert weights
    assert all(0 < value.std() < 1 for value in weights)


def test_batch_norm_starts_from_nothing_seen() -> None:
    network = small("resnet18")[0]
    norm = network.get_submodule("bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert (norm.running_mean.sum().item(), norm.running_var.min().item()) == (0, 1)
    assert norm.num_batches_tracked == torch.tensor(0)


def test_a_single_convolution_agrees_with_torchs() -> None:
    network = materialize(shipped("lenet5"), "cpu").eval()
    image = torch.randn(1, 1, 28, 28)
    x = image
    for name in (
        "c1",
        "c1_sigmoid",
        "s2",
        "c3",
        "c3_sigmoid",
        "s4",
        "flatten",
        "c5",
        "c5_sigmoid",
        "f6",
        "f6_sigmoid",
    ):
        x = network.get_submodule(name)(x)
    assert torch.equal(network(image), network.get_submodule("output")(x))


class Own(nn.Module):
    """A layer with a weight and no way to initialise it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(3, device="meta"))


def test_a_layer_that_cannot_be_initialised_is_refused_before_anything_is_allocated() -> None:
    module = nn.Sequential(nn.Linear(2, 2, device="meta"), Own())
    with pytest.raises(ArchError, match="1 has no reset_parameters, so its scale cannot be initialised"):
        materialize(module, "cpu")
    assert {parameter.device.type for parameter in module.parameters()} == {"meta"}
