"""Every kind of ARCH becomes a Network on meta."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from factories import write_factory
from torch import fx

from vggprof.errors import ArchError, SpecError, UsageError
from vggprof.network.load import Network, load
from vggprof.spec.arch import parse_arch


@pytest.fixture
def factory(tmp_path: Path) -> Callable[[str], str]:
    """Write a file that defines ``build`` and return the ARCH of it."""
    return partial(write_factory, tmp_path)


# One convolution of 3x3 on one channel, then a linear layer for 8 x 4 x 4 features.
SPEC = """
name: small
source: made for this test
input: 1x8x8
parameters: {classes: 10}
layers:
  - conv1: {conv: 8, kernel: 3, padding: 1}
  - max_pool: 2
  - flatten
  - fc: {linear: classes}
"""


def params(network: Network) -> int:
    assert all(tensor.is_meta for tensor in (*network.module.parameters(), *network.module.buffers()))
    return sum(parameter.numel() for parameter in network.module.parameters())


def out_shape(network: Network) -> tuple[int, ...]:
    images = torch.empty(2, *network.input_shape, device="meta")
    return tuple(network.module(images).shape)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def test_a_shipped_spec() -> None:
    """LeNet-5 as the book has it: 61,706 = 156 + 2416 + 48120 + 10164 + 850."""
    network = load(parse_arch("lenet5"))
    assert network.name == "lenet5"
    assert network.input_shape == (1, 28, 28)
    assert "LeCun" in network.source
    assert isinstance(network.module, fx.GraphModule)
    assert network.module.training
    assert params(network) == 61_706
    assert out_shape(network) == (2, 10)


def test_a_spec_file(spec: Path) -> None:
    """(3 x 3 x 1 + 1) x 8 = 80 and (128 + 1) x 10 = 1290."""
    network = load(parse_arch(str(spec)))
    assert (network.name, network.input_shape, network.source) == ("small", (1, 8, 8), "made for this test")
    assert params(network) == 80 + 1290
    assert out_shape(network) == (2, 10)


def test_parameters_and_input_are_put_in(spec: Path) -> None:
    """On 4 x 4 there are 8 x 2 x 2 = 32 features: (3 x 3 x 3 + 1) x 8 = 224 and (32 + 1) x 3 = 99."""
    network = load(parse_arch(f"{spec}@classes=3,input=3x4x4"))
    assert network.input_shape == (3, 4, 4)
    assert params(network) == 224 + 99
    assert out_shape(network) == (2, 3)


def test_a_spec_without_a_source_is_from_its_file(spec: Path) -> None:
    spec.write_text(SPEC.replace("source: made for this test\n", ""))
    assert load(parse_arch(str(spec))).source == str(spec)


def test_a_factory_in_a_file(factory: Callable[[str], str]) -> None:
    arch = factory("""
def build(classes=10):
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(8 * 6 * 6, classes))
""")
    network = load(parse_arch(f"{arch}@input=1x8x8,classes=5"))
    assert (network.name, network.input_shape, network.source) == ("build", (1, 8, 8), arch)
    assert params(network) == 80 + (288 + 1) * 5
    assert out_shape(network) == (2, 5)


def test_an_installed_factory_says_its_version() -> None:
    torchvision = pytest.importorskip("torchvision")
    network = load(parse_arch("torchvision.models:resnet18"))
    assert (network.name, network.input_shape) == ("resnet18", (3, 224, 224))
    address, _, version = network.source.partition(", torchvision ")
    assert address == "torchvision.models:resnet18"
    assert torchvision.__version__.startswith(version)
    assert version
    assert params(network) == 11_689_512


def test_a_factory_whose_module_is_of_no_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vggprof_test_alone.py").write_text("from torch.nn import Linear\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    arch = "vggprof_test_alone:Linear@in_features=2,out_features=3"
    assert load(parse_arch(arch)).source == "vggprof_test_alone:Linear"


@pytest.mark.parametrize(
    ("arch", "error", "message"),
    [
        ("./missing.yaml", UsageError, "there is no file missing.yaml"),
        ("lenet5@clases=3", UsageError, "has no parameter 'clases'"),
        ("./missing.py:build", ArchError, "there is no file missing.py"),
    ],
)
def test_what_cannot_be_loaded(arch: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(parse_arch(arch))


def test_a_spec_with_a_mistake_in_it(spec: Path) -> None:
    spec.write_text(SPEC.replace("max_pool", "max_pol"))
    with pytest.raises(SpecError, match=r"small\.yaml:8:\d+: .*max_pol"):
        load(parse_arch(str(spec)))


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        # 224 / 64 = 4 (rounded up) pixels, of which two poolings leave one.
        ("stage1 stride 64", "edit 'stage1 stride 64': vgg11 cannot be built with it: pool3: gets 256x1x1"),
        ("input 5", "edit 'input 5': vgg11 cannot be built with it: pool3: gets 256x1x1"),
        (
            "width 2; input 5; no dropout",
            "edit 'input 5': vgg11 cannot be built with it: pool3: gets 512x1x1",
        ),
        ("input 5; dense", "edit 'input 5': vgg11 cannot be built with it"),
        # 512 pixels do with what 224 do not: only the last edit leaves too few.
        ("input 2048; stem stride 64; input 5", "edit 'input 5': vgg11 cannot be built with it"),
    ],
)
def test_what_an_edit_breaks_is_told_of_the_edit(edits: str, said: str) -> None:
    with pytest.raises(ArchError) as caught:
        load(parse_arch(f"vgg11 with {edits}"))
    assert str(caught.value).startswith(said)
    assert "yaml" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_edit_is_not_blamed_for_a_spec_that_is_wrong(tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC.replace("1x8x8", "1x1x1"))
    with pytest.raises(SpecError, match=r"small\.yaml:8:5: .*wants 2x2 pixels at least"):
        load(parse_arch(f"{spec} with width 2"))
