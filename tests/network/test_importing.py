"""Finding a factory and running it: what works, what is left as it was, and what is said where it fails."""

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from factories import HEAD, all_on_meta, build, write_factory
from torch import nn

from vggprof.errors import ArchError


@pytest.fixture
def factory(tmp_path: Path) -> Callable[[str], str]:
    """Write a file that defines ``build`` and return the ARCH of it."""
    return partial(write_factory, tmp_path)


def shape(module: nn.Module) -> tuple[int, ...]:
    return tuple(next(module.parameters()).shape)


# --- nothing is left behind ---------------------------------------------------------------------------------


def test_hooks_path_and_modules_are_as_before(factory: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "vggprof_test_sibling.py").write_text("width = 4\n")
    arch = factory("""
import sys
from vggprof_test_sibling import width
sys.path.append("/added/by/the/file")

def build():
    import vggprof_test_sibling
    return nn.Linear(width, vggprof_test_sibling.width)
""")
    before = list(sys.path)
    assert shape(build(arch)) == (4, 4)
    assert sys.path == before
    assert "vggprof_test_sibling" not in sys.modules
    assert not nn.Linear(2, 2).weight.is_meta


def test_a_failing_factory_leaves_nothing_behind(factory: Callable[[str], str]) -> None:
    before = list(sys.path)
    with pytest.raises(ArchError):
        build(factory("def build():\n    nn.Linear(2, 2)\n    raise ValueError('no')\n"))
    assert sys.path == before
    layer = nn.Linear(2, 2)
    layer.register_buffer("mean", torch.ones(2))
    assert not layer.weight.is_meta
    assert not layer.mean.is_meta


def test_two_files_may_have_siblings_of_the_same_name(tmp_path: Path) -> None:
    for name, width in (("a", 4), ("b", 6)):
        folder = tmp_path / name
        (folder / "blocks").mkdir(parents=True)
        (folder / "layers.py").write_text(f"width = {width}\n")
        (folder / "blocks" / "__init__.py").write_text("from layers import width\n")
        (folder / "net.py").write_text(
            HEAD + "from blocks import width\nbuild = lambda: nn.Linear(width, 1)\n"
        )
    assert shape(build(f"{tmp_path}/a/net.py:build")) == (1, 4)
    assert shape(build(f"{tmp_path}/b/net.py:build")) == (1, 6)


def test_a_changed_file_is_run_anew(factory: Callable[[str], str], tmp_path: Path) -> None:
    """Same size, same second: what Python's bytecode cache would not notice."""
    assert build(factory("build = lambda: nn.Linear(4, 1)\n")).weight.shape == (1, 4)
    assert build(factory("build = lambda: nn.Linear(6, 1)\n")).weight.shape == (1, 6)
    assert not (tmp_path / "__pycache__").exists()


def test_what_a_factory_prints_and_warns_is_not_in_the_result(
    factory: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    arch = factory("""
import warnings
print("while imported")

def build():
    print("while built")
    warnings.warn("about weights", FutureWarning)
    return nn.Linear(2, 2)
""")
    with warnings.catch_warnings(action="error"):
        build(arch)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "while imported\nwhile built\n"


# --- files, modules, classes, instances ---------------------------------------------------------------------


def test_a_class_and_something_inside_it(factory: Callable[[str], str]) -> None:
    arch = factory(
        """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Widths:
    first: int = 3

class build(nn.Linear):
    def __init__(self, out=1):
        super().__init__(Widths().first, out)

    @classmethod
    def wide(cls):
        return cls(9)
""".replace("from __future__ import annotations\n", "")
    )
    assert shape(build(arch)) == (1, 3)
    assert shape(build(f"{arch}.wide")) == (9, 3)


def test_a_module_that_a_file_has_made(factory: Callable[[str], str]) -> None:
    arch = factory("build = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))\n")
    assert all_on_meta(build(arch))
    with pytest.raises(ArchError, match="is a module already and takes no keywords; it was given classes"):
        build(arch + "@classes=10")


def test_a_module_that_others_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vggprof_test_live.py").write_text(HEAD + "net = nn.Linear(2, 2)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        ArchError, match=r"net is a module already; from Python, vggprof\.trace\(module, \.\.\.\)"
    ):
        build("vggprof_test_live:net")


def test_a_module_beside_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``python -m`` finds it, whether or not vggprof was started so."""
    (tmp_path / "vggprof_test_here.py").write_text(HEAD + "build = lambda: nn.Linear(2, 2)\n")
    monkeypatch.chdir(tmp_path)
    assert all_on_meta(build("vggprof_test_here:build"))
    assert str(tmp_path) not in sys.path


# --- errors -------------------------------------------------------------------------------------------------


def refused(arch: str) -> str:
    with pytest.raises(ArchError) as raised:
        build(arch)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("torch.nnn:Linear", "there is no module 'torch.nnn' in this Python; did you mean 'nn'?"),
        ("torhc:Linear", "there is no module 'torhc' in this Python; did you mean 'torch'?"),
        ("torch.nn.Linear:x", "there is no module 'torch.nn.Linear' in this Python"),
        ("torch.nn:Linaer", "torch.nn has no 'Linaer'; did you mean 'Linear'?"),
        ("torch.nn:Linear.nope", "torch.nn:Linear has no 'nope'"),
        ("torch.nn:__doc__", "torch.nn:__doc__ is of type NoneType; a function or class"),
        ("torch:zeros@size=(2,2)", "torch:zeros returned a value of type Tensor, not a torch.nn.Module"),
        (
            "torch.nn:Linear@in_featurs=1,out_features=2",
            "torch.nn:Linear: missing a required argument: 'in_features'; it takes in_features, out_features",
        ),
        (
            "torch.nn:Linear@in_features=1,out_features=2,bais=False",
            "got an unexpected keyword argument 'bais'; it takes in_features, out_features, bias, device, "
            "dtype; did you mean 'bias'?",
        ),
        ("torch.nn:Linear@in_features=-1,out_features=2", "torch.nn:Linear: it failed: "),
        ("./no_such_file.py:build", "there is no file no_such_file.py"),
    ],
)
def test_what_cannot_be_called(arch: str, message: str) -> None:
    assert message in refused(arch)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("build = 3\n", "my_net.py:build is of type int; a function or class that makes a torch.nn.Module"),
        ("def biuld(): ...\n", "my_net.py has no 'build'; did you mean 'biuld'?"),
        ("def build(:\n", "my_net.py:build: its import failed: SyntaxError"),
        ("1 / 0\n", "its import failed: ZeroDivisionError: division by zero (line 3)"),
        (
            "import vggprof_no_such\n",
            "its import failed: ModuleNotFoundError: No module named 'vggprof_no_such'",
        ),
        ("raise SystemExit(2)\n", "its import failed: SystemExit: 2 (line 3)"),
        ("from . import x\n", "its import failed: ImportError: attempted relative import"),
        ("x = '\0'\n", "its import failed: "),
        ("def build():\n    return None\n", "build returned a value of type NoneType, not a torch.nn.Module"),
        ("def build():\n    return nn.Linear(1, 1), 5\n", "returned a value of type tuple"),
        ("def build(): raise KeyError('a')\n", "my_net.py:build: it failed: KeyError: 'a' (line 3)"),
        ("def build(): raise ValueError\n", "it failed: ValueError (line 3)"),
        ("def build(): raise ValueError('a\\nb')\n", "it failed: ValueError: a (line 3)"),
        ("def build():\n    exit(3)\n", "it failed: SystemExit: 3 (line 4)"),
        ("def build(): return build()\n", "it failed: RecursionError: "),
        (
            "def build():\n    net = nn.Linear(2, 2)\n    net.weight.sum().item()\n    return net\n",
            "weights have no values here that could be read (line 5)",
        ),
        ("def build(n): ...\n", "missing a required argument: 'n'; it takes n"),
    ],
)
def test_factories_that_fail(factory: Callable[[str], str], text: str, message: str) -> None:
    assert message in refused(factory(text))


def test_a_keyword_for_a_factory_without_any(factory: Callable[[str], str]) -> None:
    arch = factory("def build(): ...\n") + "@classes=10"
    assert "got an unexpected keyword argument 'classes'; it takes none" in refused(arch)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_bytes(b"\xff\xfe\x00")
    assert "its import failed" in refused(f"{tmp_path}/net.py:build")
    (tmp_path / "folder.py").mkdir()
    assert "there is no file" in refused(f"{tmp_path}/folder.py:build")


def test_the_cause_is_kept_for_debugging(factory: Callable[[str], str]) -> None:
    with pytest.raises(ArchError) as raised:
        build(factory("def build(): raise KeyError('a')\n"))
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_module_that_needs_a_missing_one_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vggprof_test_needy.py").write_text("import vggprof_test_absent\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    message = refused("vggprof_test_needy:build")
    assert "its import failed: ModuleNotFoundError: No module named 'vggprof_test_absent'" in message
