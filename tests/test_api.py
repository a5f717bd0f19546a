"""The Python API: public names, live modules, and answers from disk that need no torch."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch
from torch import nn

import vggprof
from vggprof.cli.group import group
from vggprof.memory.report import CardReport
from vggprof.memory.verdict import Status
from vggprof.trace import Trace

BATCH = 4


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 5))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.zeros(BATCH, 3, 6, 6)


@pytest.mark.parametrize("name", vggprof.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(vggprof, name) is not None
    assert name in dir(vggprof)


@pytest.mark.parametrize("name", ["trace", "memory", "compare", "latency"])
@pytest.mark.parametrize("room_first", [True, False])
def test_functions_come_before_rooms_of_the_same_name(name: str, *, room_first: bool) -> None:
    """In a process of its own: Python binds a room to the package when it is first imported."""
    steps = [f"import vggprof.{name}", f"assert vggprof.{name} is vggprof.api.{name}"]
    code = "; ".join(["import vggprof", "import vggprof.api"] if not room_first else ["import vggprof"])
    steps = steps if room_first else [steps[1], *steps]
    subprocess.run([sys.executable, "-c", "; ".join([code, *steps])], check=True)


def test_every_command_has_its_call() -> None:
    """As docs/api.md lists them, a row each."""
    text = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z ]+)` \| (.*) \|$", text, re.MULTILINE))
    assert set(rows) == set(commands(group, ()))
    for calls in rows.values():
        named = re.findall("`([a-z_]+)`", calls)
        assert named
        assert all(callable(getattr(vggprof, name)) and name in vggprof.__all__ for name in named)


def commands(command: click.Command, above: tuple[str, ...]) -> Iterator[str]:
    """Yield the words that call each command below *command*."""
    if not isinstance(command, click.Group):
        yield " ".join(above)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from commands(below, (*above, name))


def test_latency_is_a_call() -> None:
    report = vggprof.latency("lenet5", vggprof.Setup(batch=4), vggprof.Target(gpu="V100 SXM2 16GB"))
    (card,) = report.cards
    assert (report.arch, card.device.name) == ("lenet5", "Tesla V100 SXM2 16GB")
    assert card.step.likely > 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = vggprof.no_such_name  # type: ignore[attr-defined]


def test_a_live_module_is_traced_and_left_as_it_was(net: nn.Module, images: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    trace = vggprof.trace(net, images, optimizer="adam")
    assert isinstance(trace, Trace)
    assert (trace.setup.batch, trace.setup.optimizer.value, trace.steps) == (BATCH, "adam", 3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None and not parameter.is_meta for parameter in net.parameters())


def test_layers_of_a_live_module(net: nn.Module, images: torch.Tensor) -> None:
    table = vggprof.layers(vggprof.trace(net, images, steps=1))
    assert table.totals.params == sum(parameter.numel() for parameter in net.parameters())
    # Convolution: 4 images x 36 pixels x 8 x 3 x 9; linear: 4 x 288 x 5.
    assert table.totals.macs == 4 * 36 * 8 * 27 + 4 * 288 * 5
    assert len(table.to_frame()) == len(table.rows) == 4


def test_own_loss_and_own_step(net: nn.Module, images: torch.Tensor) -> None:
    def loss(out: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return nn.functional.mse_loss(out, wanted)

    def step(module: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()

    by_loss = vggprof.trace(net, images, loss=loss, targets=torch.zeros(BATCH, 5))
    assert any("mse_loss" in operator.name for operator in by_loss.operators)
    by_step = vggprof.trace(net, (images,), step=step, optimizer="sgd")
    assert vggprof.layers(by_step).totals.macs == vggprof.layers(by_loss).totals.macs
    assert vggprof.memory(by_step).tensors.peak.allocated_bytes > 0


def test_words_that_are_none_name_the_nearest(net: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(vggprof.UsageError, match=r"'adamm' is none of .*; did you mean 'adam'"):
        vggprof.trace(net, images, optimizer="adamm")
    with pytest.raises(vggprof.UsageError, match="'training' is none of train, infer"):
        vggprof.trace(net, images, mode="training")


def test_a_trace_has_its_own_setup(net: nn.Module, images: torch.Tensor) -> None:
    trace = vggprof.trace(net, images, steps=1)
    assert vggprof.layers(trace, trace.setup).setup == trace.setup
    with pytest.raises(vggprof.UsageError, match="was made in another setup"):
        vggprof.layers(trace, vggprof.Setup(batch=99))


def test_compare_takes_names_and_traces(net: nn.Module, images: torch.Tensor) -> None:
    trace = vggprof.trace(net, images, steps=1)
    comparison = vggprof.compare([trace, "lenet5"])
    assert [arch.name for arch in comparison.archs] == ["Sequential", "lenet5"]
    with pytest.raises(vggprof.UsageError, match="two architectures or more; got 1"):
        vggprof.compare(["lenet5"])


def test_the_same_question_again_needs_no_torch(tmp_path: Path) -> None:
    """In processes of their own; the second has no torch to import."""
    code = (
        "from vggprof.cli.run import run; import sys; sys.exit(run(['memory', 'lenet5', '--format', 'json']))"
    )
    no_torch = "import sys; sys.modules['torch'] = None; " + code

    def answer(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PATH": "", "HOME": str(tmp_path), "VGGPROF_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    first = answer(code)
    assert "peak" in first
    assert answer(no_torch) == first


def test_what_a_network_prints_is_no_part_of_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loud.py").write_text(
        "from torch import nn\n"
        "class Loud(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        print('running')\n"
        "        return super().forward(x.flatten(1))\n"
        "def build():\n"
        "    print('building')\n"
        "    return Loud(12, 2)\n",
        encoding="utf-8",
    )
    vggprof.layers(f"{tmp_path / 'loud.py'}:build@input=3x2x2")
    said = capsys.readouterr()
    assert said.out == ""
    assert "building" in said.err
    assert "running" in said.err


def test_a_module_is_not_an_arch() -> None:
    with pytest.raises(vggprof.UsageError, match=r"a list is neither an ARCH nor a trace"):
        vggprof.layers([])  # type: ignore[arg-type]


def test_the_largest_batch_does_not_depend_on_the_one_asked_about() -> None:
    target = vggprof.Target(gpu_memory="1GiB", torch="2.15")
    reports = [vggprof.memory("lenet5", vggprof.Setup(batch=batch), target) for batch in (1, 7, 64)]
    found = {report.cards[0].largest_batch for report in reports}
    assert len(found) == 1
    assert (found.pop() or 0) > 64


def test_the_largest_batches_are_edges_of_their_verdicts() -> None:
    """The context is a range of some hundred MiB, so that the largest batch is TIGHT."""
    target = vggprof.Target(gpu_memory="2GiB", torch="2.15")

    def card(batch: int) -> CardReport:
        return vggprof.memory("lenet5", vggprof.Setup(batch=batch), target).cards[0]

    largest = card(1).largest
    assert largest is not None
    assert 0 < largest.sure < largest.likely
    edges = (largest.sure, largest.sure + 1, largest.likely)
    assert [card(batch).prediction.status for batch in edges] == [Status.FITS, Status.TIGHT, Status.TIGHT]
    assert card(largest.likely).prediction.shown.fits
    beyond = card(largest.likely + 1).prediction
    assert beyond.machine.capacity_bytes is None  # what is shown is a card without end: likely it fails


def test_an_old_gpu_is_said_to_be_one() -> None:
    report = vggprof.memory("lenet5", vggprof.Setup(batch=2), vggprof.Target(gpu="k40", torch="2.15"))
    assert report.cards[0].prediction.peak_allocated.likely is None
    assert any("no compute capability below 7.5" in sentence for sentence in report.assumptions)
