"""What a factory returns is on meta, is otherwise what it would be, and was never in memory as a whole."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from factories import all_on_meta, build, write_factory
from torch import nn

from vggprof.errors import ArchError


@pytest.fixture
def factory(tmp_path: Path) -> Callable[[str], str]:
    """Write a file that defines ``build`` and return the ARCH of it."""
    return partial(write_factory, tmp_path)


# --- torchvision --------------------------------------------------------------------------------------------

# Parameters as torchvision publishes them in the `meta` of each model's weights. googlenet's are those
# without auxiliary heads, which its published weights do not have.
PUBLISHED = [
    ("alexnet", 61_100_840),
    ("vgg16", 138_357_544),
    ("vgg11_bn", 132_868_840),
    ("googlenet@aux_logits=False,init_weights=True", 6_624_904),
    ("inception_v3@input=3x299x299", 27_161_264),
    ("regnet_y_128gf", 644_812_894),
    ("regnet_x_400mf", 5_495_976),
    ("convnext_tiny", 28_589_128),
    ("swin_t", 28_288_354),
    ("vit_h_14", 632_045_800),
    ("maxvit_t", 30_919_624),
    ("mobilenet_v3_small", 2_542_856),
    ("mnasnet0_5", 2_218_512),
    ("squeezenet1_1", 1_235_496),
    ("shufflenet_v2_x0_5", 1_366_792),
    ("densenet121", 7_978_856),
]


@pytest.mark.parametrize(("name", "params"), PUBLISHED)
def test_torchvision(name: str, params: int) -> None:
    pytest.importorskip("torchvision")
    module = build(f"torchvision.models:{name}")
    assert sum(parameter.numel() for parameter in module.parameters()) == params
    assert all_on_meta(module)
    assert module.training


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "regnet_x_400mf", "swin_t", "googlenet"])
def test_all_but_the_memory_is_as_it_would_be(name: str) -> None:
    """The module that the factory makes by itself, with real weights, is the oracle."""
    models = pytest.importorskip("torchvision.models")
    keywords = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    said = ",".join(f"{key}={value}" for key, value in keywords.items())
    made = build(f"torchvision.models:{name}" + (f"@{said}" if said else ""))
    real = models.get_model(name, **keywords)
    assert [(path, type(part)) for path, part in made.named_modules()] == [
        (path, type(part)) for path, part in real.named_modules()
    ]
    assert described(made) == described(real)
    assert not all_on_meta(real)


def described(module: nn.Module) -> list[tuple[object, ...]]:
    tensors = (*module.named_parameters(), *module.named_buffers())
    return [
        (name, type(tensor), tensor.shape, tensor.stride(), tensor.dtype, tensor.requires_grad)
        for name, tensor in tensors
    ]


def test_it_runs_on_meta() -> None:
    pytest.importorskip("torchvision")
    out = build("torchvision.models:regnet_x_400mf@num_classes=7")(torch.empty(2, 3, 64, 64, device="meta"))
    assert out.shape == (2, 7)
    assert out.is_meta


PEAK = """
import resource, sys, torch
from vggprof.network.factory import build_from_factory
from vggprof.spec.arch import parse_arch
unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
build_from_factory(parse_arch(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
for arch in sys.argv[2:]:
    module = build_from_factory(parse_arch(arch))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(after - before, sum(p.numel() * 4 for p in module.parameters()))
"""


def peak_and_weight_bytes(*archs: str) -> list[list[int]]:
    """Peak memory beyond that for the first of *archs*, and bytes of weights, of each of the others."""
    pytest.importorskip("resource", reason="getrusage is not on Windows")
    run = subprocess.run([sys.executable, "-c", PEAK, *archs], check=True, capture_output=True, text=True)
    return [list(map(int, line.split())) for line in run.stdout.splitlines()]


def test_the_whole_model_is_never_in_memory() -> None:
    """Measured: 4 MiB more than for squeezenet, for weights of 528 and 2411 MiB."""
    pytest.importorskip("torchvision")
    names = ("squeezenet1_0", "vgg16", "vit_h_14")
    vgg16, vit_h_14 = peak_and_weight_bytes(*(f"torchvision.models:{name}" for name in names))
    assert vgg16[1] == 138_357_544 * 4
    assert vit_h_14[1] == 632_045_800 * 4
    assert vgg16[0] < 50 * 2**20
    assert vit_h_14[0] < 50 * 2**20


def test_a_factory_that_fills_its_parameters_has_few_at_a_time_in_memory(
    factory: Callable[[str], str],
) -> None:
    """Forty parameters of 16 MiB, each filled before it is registered: 640 MiB in all.

    Freed ones are handed back once they are 128 MiB together, so a little more than that is there at most.
    """
    arch = factory("""
class Filled(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count))
build = lambda count: nn.Sequential(*(Filled(count) for _ in range(40)))
""")
    ((peak, weights),) = peak_and_weight_bytes(f"{arch}@count=1", f"{arch}@count=4194304")
    assert weights == 40 * 2**24
    assert peak < 200 * 2**20


# --- lazy modules -------------------------------------------------------------------------------------------


def test_lazy_modules_get_their_shapes_from_the_input(factory: Callable[[str], str]) -> None:
    """3x3 convolutions without padding on 1x28x28: 28 - 2 = 26, pooled 13; 8 x 13 x 13 = 1352 features."""
    module = build(
        factory("""
def build(classes):
    return nn.Sequential(
        nn.LazyConv2d(8, kernel_size=3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.LazyLinear(classes))
""")
        + "@input=1x28x28,classes=10"
    )
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert shapes == {
        "0.weight": (8, 1, 3, 3),
        "0.bias": (8,),
        "1.weight": (8,),
        "1.bias": (8,),
        "1.running_mean": (8,),
        "1.running_var": (8,),
        "1.num_batches_tracked": (),
        "5.weight": (10, 1352),
        "5.bias": (10,),
    }
    assert [type(part).__name__ for part in module] == [  # type: ignore[attr-defined]
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "MaxPool2d",
        "Flatten",
        "Linear",
    ]
    assert all_on_meta(module)
    assert module.training


def test_a_lazy_module_that_is_not_run_is_named(factory: Callable[[str], str]) -> None:
    arch = factory("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.LazyConv2d(4, 3), nn.LazyLinear(5)

    def forward(self, x):
        return self.used(x)

build = Net
""")
    with pytest.raises(ArchError, match=r"my_net\.py:build: unused\.weight has no shape") as raised:
        build(arch)
    assert "\n" not in str(raised.value)


def test_an_input_that_does_not_fit_lazy_modules(factory: Callable[[str], str]) -> None:
    arch = factory("build = lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.MaxPool2d(8))\n")
    with pytest.raises(
        ArchError, match="its lazy modules got no shapes from an input of 1x4x4: RuntimeError"
    ):
        build(arch + "@input=1x4x4")
