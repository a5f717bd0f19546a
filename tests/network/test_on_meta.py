"""Parameters and buffers of every kind, and what constructors do with them, on the way to meta."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from factories import all_on_meta, build, write_factory
from torch import nn

from vggprof.network.on_meta import built_on_meta


@pytest.fixture
def factory(tmp_path: Path) -> Callable[[str], str]:
    """Write a file that defines ``build`` and return the ARCH of it."""
    return partial(write_factory, tmp_path)


def storage(tensor: torch.Tensor) -> int:
    """Which memory *tensor* has: data_ptr is 0 for everything on meta."""
    return int(tensor.untyped_storage()._cdata)


def attribute(module: nn.Module, path: str) -> object:
    found: object = module
    for name in path.split("."):
        found = getattr(found, name)
    return found


def test_tied_parameters_stay_tied(factory: Callable[[str], str]) -> None:
    module = build(
        factory("""
def build():
    net, weight = nn.Module(), nn.Parameter(torch.zeros(4, 4))
    net.a, net.b, net.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
    net.a.weight = weight
    net.b.weight = weight
    net.c.weight = net.a.weight
    net.register_buffer("seen", net.a.weight)
    return net
""")
    )
    a, b, c, seen = (attribute(module, name) for name in ("a.weight", "b.weight", "c.weight", "seen"))
    assert a is b is c is seen
    assert [name for name, _ in module.named_parameters()] == ["a.weight", "a.bias", "b.bias", "c.bias"]
    assert all_on_meta(module)


def test_parameters_that_only_look_alike_are_not_tied(factory: Callable[[str], str]) -> None:
    """Each is dropped before the next is made, so that Python gives them the same id."""
    module = build(
        factory("""
def build():
    net = nn.Module()
    for i in range(100):
        net.register_parameter(f"w{i}", nn.Parameter(torch.zeros(3)))
    return net
""")
    )
    assert len({id(parameter) for parameter in module.parameters()}) == 100


def test_kinds_of_parameters_are_kept(factory: Callable[[str], str]) -> None:
    module = build(
        factory("""
class Marked(nn.Parameter):
    pass

def build():
    net = nn.Module()
    net.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
    net.whole = nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)
    net.short = nn.Parameter(torch.zeros(2, dtype=torch.float16))
    net.transposed = nn.Parameter(torch.zeros(2, 3).t())
    net.last = nn.Parameter(torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))
    marked = Marked(torch.zeros(2))
    marked.no_weight_decay = True
    net.marked = marked
    net.none = None
    net.register_parameter("absent", None)
    net.register_buffer("no_buffer", None)
    net.register_buffer("counts", torch.arange(3), persistent=False)
    net.own = nn.Buffer(torch.arange(3.0))
    net.plain = torch.ones(3)
    return net
""")
    )
    kinds = {name: (p.dtype, p.requires_grad, p.stride()) for name, p in module.named_parameters()}
    assert kinds == {
        "frozen": (torch.float32, False, (1,)),
        "whole": (torch.int8, False, (1,)),
        "short": (torch.float16, True, (1,)),
        "transposed": (torch.float32, True, (1, 3)),
        "last": (torch.float32, True, (60, 1, 15, 3)),
        "marked": (torch.float32, True, (1,)),
    }
    assert type(module.marked).__name__ == "Marked"
    assert vars(module.marked) == {"no_weight_decay": True}
    assert {name: b.dtype for name, b in module.named_buffers()} == {
        "counts": torch.int64,
        "own": torch.float32,
    }
    assert isinstance(module.own, nn.Buffer)
    assert list(module.state_dict()) == [*kinds, "own"]
    assert all_on_meta(module)
    plain = attribute(module, "plain")
    assert isinstance(plain, torch.Tensor)
    assert plain.tolist() == [1.0, 1.0, 1.0]


def test_a_shared_buffer_becomes_two_as_on_the_way_to_a_gpu(factory: Callable[[str], str]) -> None:
    module = build(
        factory("""
def build():
    net, mask = nn.Module(), torch.ones(4)
    net.a, net.b = nn.Module(), nn.Module()
    net.a.register_buffer("mask", mask)
    net.b.register_buffer("mask", mask)
    return net
""")
    )
    masks = dict(module.named_buffers())
    assert list(masks) == ["a.mask", "b.mask"]
    assert storage(masks["a.mask"]) != storage(masks["b.mask"])


RUNNABLE = {
    "weight_norm": "nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))",
    "spectral_norm": "nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))",
    "old weight_norm": "nn.utils.weight_norm(nn.Linear(8, 8))",
    "old spectral_norm": "nn.utils.spectral_norm(nn.Linear(8, 8))",
    "pruned": "nn.utils.prune.identity(nn.Linear(8, 8), 'weight')",
    "orthogonal start": "started(nn.init.orthogonal_)",
    "truncated start": "started(nn.init.trunc_normal_)",
    "kaiming start": "started(nn.init.kaiming_normal_)",
    "lists": "Lists()",
    "copied layers": "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8), 2)",
    "same layer twice": "(lambda layer: nn.Sequential(layer, layer))(nn.Linear(8, 8))",
}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the old ones, when their modules run
@pytest.mark.parametrize("made", RUNNABLE.values(), ids=RUNNABLE.keys())
def test_what_constructors_do_works(factory: Callable[[str], str], made: str) -> None:
    module = build(
        factory(f"""
import torch.nn.utils.prune

def started(how):
    layer = nn.Linear(8, 8)
    how(layer.weight)
    return layer

class Lists(nn.Module):
    def __init__(self):
        super().__init__()
        self.list = nn.ParameterList([nn.Parameter(torch.ones(8)) for _ in range(3)])
        self.dict = nn.ParameterDict({{"a": nn.Parameter(torch.ones(8))}})

    def forward(self, x):
        return x * sum(self.list) * self.dict["a"]

def build():
    return {made}
""")
    )
    assert all_on_meta(module)
    assert list(module.parameters())
    x = torch.empty(2, 8, 8, device="meta")
    assert module(x).shape == x.shape
    assert module(x).is_meta


MOVED = {
    "to a GPU": ("net().cuda()", torch.float32),
    "to a named GPU": ("net().to('cuda:3', non_blocking=True)", torch.float32),
    "to the CPU": ("net().to(device='cpu').cpu()", torch.float32),
    "to half": ("net().to('cuda', torch.float16)", torch.float16),
    "to like another": ("net().to(torch.zeros(1, dtype=torch.float64))", torch.float64),
    "by type": ("net().bfloat16().to(torch.device('cpu'))", torch.bfloat16),
    "to empty": ("net().to_empty(device='cpu')", torch.float32),
    "from a checkpoint": ("loaded(net(), assign=False)", torch.float32),
    "a checkpoint itself": ("loaded(net(), assign=True)", torch.float32),
}


@pytest.mark.parametrize(("made", "dtype"), MOVED.values(), ids=MOVED.keys())
def test_a_module_that_is_moved_stays_on_meta(
    factory: Callable[[str], str], made: str, dtype: torch.dtype
) -> None:
    """Scripts end with ``.to(device)``; here there may be no GPU, and there are no weights to move."""
    module = build(
        factory(f"""
net = lambda: nn.Sequential(nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4))

def loaded(module, assign):
    state = {{name: torch.zeros_like(value, device="cpu") for name, value in module.state_dict().items()}}
    module.load_state_dict(state, assign=assign)
    return module

def build():
    return {made}
""")
    )
    assert all_on_meta(module)
    assert [tuple(p.shape) for p in module.parameters()] == [(4, 3, 5, 5), (4,), (4,), (4,)]
    assert {p.dtype for p in module.parameters()} == {dtype}
    assert all(p.requires_grad for p in module.parameters())


def test_a_memory_format_is_kept_on_the_way(factory: Callable[[str], str]) -> None:
    module = build(
        factory("build = lambda: nn.Conv2d(3, 4, 5).to('cuda', memory_format=torch.channels_last)\n")
    )
    assert next(module.parameters()).stride() == (75, 1, 15, 3)


def test_tensors_that_are_no_weights_are_filled_and_moved_as_ever(factory: Callable[[str], str]) -> None:
    module = build(
        factory("""
def build():
    noise = nn.init.normal_(torch.zeros(100)).to("cpu", torch.float64)
    more = torch.empty(100).normal_(mean=5.0, std=0.1)
    assert noise.dtype is torch.float64 and 0 < noise.abs().max() and more.min() > 0
    layer = nn.Linear(2, 2)
    nn.init.normal_(layer.weight)
    layer.weight.data.normal_(0, 0.01)
    return layer
""")
    )
    assert all_on_meta(module)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_find_their_weights(factory: Callable[[str], str], kind: str) -> None:
    """They keep a second list of their weights, which must be those on meta."""
    module = build(factory(f"build = lambda: nn.{kind}(8, 16, num_layers=2, bidirectional=True)\n"))
    assert all(a is b for a, b in zip(module._flat_weights, module.parameters(), strict=True))  # type: ignore[arg-type]
    assert module(torch.empty(5, 2, 8, device="meta"))[0].shape == (5, 2, 32)


def test_what_is_put_in_by_hand_is_moved_too(factory: Callable[[str], str]) -> None:
    module = build(
        factory("""
def build():
    net = nn.Linear(2, 2)
    net._parameters["extra"] = nn.Parameter(torch.ones(2))
    net._parameters["again"] = net._parameters["extra"]
    net._buffers["mean"] = torch.ones(2)
    return net
""")
    )
    assert all_on_meta(module)
    assert module.extra is module.again


def test_other_threads_are_left_alone() -> None:
    made: list[nn.Module] = []
    with built_on_meta():
        thread = threading.Thread(target=lambda: made.append(nn.BatchNorm1d(2)))
        thread.start()
        thread.join()
        own = nn.BatchNorm1d(2)
    assert not any(tensor.is_meta for tensor in made[0].state_dict().values())
    assert all_on_meta(own)
