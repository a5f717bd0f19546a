"""Factories for the tests of this room."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def factory(tmp_path: Path) -> Callable[[str], str]:
    """Write a file with a function ``build`` and return its ARCH."""

    def write(text: str) -> str:
        path = tmp_path / "my_net.py"
        path.write_text("import torch\nfrom torch import nn\n" + text)
        return f"{path}:build"

    return write
