"""Whole outputs, from ARCH to text, as tests/golden holds them; `make golden` writes them anew."""

from collections.abc import Callable

import pytest

from vggprof.cli.run import run
from vggprof.devices import Survey
from vggprof.forms import Form

SUFFIX = {Form.TABLE: "txt", Form.MARKDOWN: "md", Form.CSV: "csv", Form.JSON: "json"}
COMMANDS = (
    "list",
    "layers lenet5",
    "memory lenet5 --batch 2 --gpu h200 --torch 2.15",
    "compare lenet5 lenet5@classes=5",
)


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, no cuDNN to ask, one torch: what is here changes no output."""
    monkeypatch.setattr("vggprof.target.survey", lambda: Survey(()))
    monkeypatch.setattr("vggprof.target.find_libraries", lambda: ())
    monkeypatch.setattr("vggprof.target.installed_version", lambda package: "2.15.0")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_in_every_form(
    words: str, form: Form, golden: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), "--format", form.value]) == 0
    golden(f"{words.partition(' ')[0]}.{SUFFIX[form]}", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("demo-compare.txt", "compare alexnet vgg11"),
        ("demo-memory.txt", "memory vgg16 --batch 32"),
        ("layers-branches.txt", "layers resnet18"),
        ("memory-card.txt", "memory vgg16 --batch 32 --gpu 3060"),
        ("memory-oom.txt", "memory vgg16 --batch 32 --gpu-memory 2GiB --allocator expandable_segments:True"),
        ("memory-amp.txt", "memory vgg11_bn --batch 8 --amp fp16 --channels-last --optimizer adam --gpu t4"),
        ("memory-inference.txt", "memory alexnet --batch 8 --mode infer --dtype fp16 --gpu 4090"),
    ],
)
def test_what_the_documentation_shows_and_other_setups(
    name: str, words: str, golden: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 0
    golden(name, capsys.readouterr().out)
