"""Factories for the tests of this room."""

from pathlib import Path

from torch import nn

from vggprof.network.factory import build_from_factory
from vggprof.spec.arch import FactoryArch, parse_arch

HEAD = "import torch\nfrom torch import nn\n"  # two lines


def write_factory(folder: Path, text: str) -> str:
    """Write a file that defines ``build`` and return the ARCH of it."""
    path = folder / "my_net.py"
    path.write_text(HEAD + text)
    return f"{path}:build"


def build(text: str) -> nn.Module:
    """Build the factory that *text* names."""
    arch = parse_arch(text)
    assert isinstance(arch, FactoryArch)
    return build_from_factory(arch)


def all_on_meta(module: nn.Module) -> bool:
    """Whether nothing of *module* is in memory."""
    return all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
