"""docs/advice.md shows what the present code says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from vggprof.api import trace_arch
from vggprof.memory.advice.changes import Case, Price, price
from vggprof.memory.advice.search import MAX_TRACED
from vggprof.memory.advice.space import MAX_PIECES, space_of
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.forecast import properties_of
from vggprof.memory.workspaces import launch
from vggprof.memory.workspaces.convolution import CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.libraries import CudnnLibrary, find_libraries
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.target import Target
from vggprof.trace import Optimizer, Setup, ZeroGrad

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "advice.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """Return the script that writes the page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
        yield import_module("advice")


@pytest.fixture(scope="module")
def library() -> CudnnLibrary:
    """Return a cuDNN that can be asked; skips without one."""
    askable = [library for library in find_libraries() if library.askable and launch.find_frontend()]
    if not askable:
        pytest.skip("no cuDNN here that can be asked")
    return askable[0]


@pytest.mark.parametrize("name", ["kinds", "setups"])
def test_tables_of_tensors_are_what_comes_out(script: ModuleType, name: str) -> None:
    header, rows = script.TABLES[name]
    assert f"<!-- {name} -->\n{import_module('pages').table(header, rows())}<!-- end -->" in PAGE


def test_table_of_settings_is_what_comes_out(script: ModuleType, library: CudnnLibrary) -> None:
    if script.CUDNN not in {each.version for each in find_libraries()}:
        pytest.skip(f"cuDNN {script.CUDNN} is not here")
    header, rows = script.TABLES["settings"]
    assert f"<!-- settings -->\n{import_module('pages').table(header, rows())}<!-- end -->" in PAGE


def test_every_kind_that_is_tried_is_on_the_page_with_its_price() -> None:
    setup = Setup(batch=2, optimizer=Optimizer.ADAM, zero_grad=ZeroGrad.ZERO)
    case = Case(setup, CudnnSettings(benchmark=True, deterministic=True), AllocatorConfig())
    space = space_of(case, trace_arch("vgg11", setup), (8, 6), retraced=True)
    listed = PAGE.partition("## What is tried")[2].partition("\n**Free**")[0].splitlines()
    prices = [line.split(" | ")[-1].removesuffix(" |") for line in listed if line.startswith("| ")][2:]
    words = {Price.FREE: "free", Price.CHEAP: "cheap", Price.MACS: "MACs", Price.LEARNING: "learning"}
    assert sorted(prices) == sorted(words[price(axis[0])] for axis in space.axes)
    assert set(prices) == set(words.values())
    assert f"in 2 to {MAX_PIECES} equal pieces" in PAGE
    assert f"After {MAX_TRACED} more traces" in PAGE


def test_cudnn_proposes_the_same_under_a_cap_on_workspaces(library: CudnnLibrary) -> None:
    """One of VGG-16's convolutions at batch 128, whose first plans take workspaces far above 1 MiB."""
    image = Strided.contiguous((128, 64, 224, 224))
    query = CudnnQuery(
        Pass.WGRAD, "float32", image, Strided.contiguous((64, 64, 3, 3)), image, (1, 1), (1, 1), (1, 1), "A"
    )
    device = properties_of(Target(gpu="RTX 3060").cards()[0].device).cudnn_json()
    line = json.dumps({"id": 0, "device": device, "query": query.message()}) + "\n"

    def replies(cap: dict[str, str]) -> list[str]:
        return subprocess.run(
            launch.command(library),
            input=line,
            env=launch.environment() | cap,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()

    free, capped = replies({}), replies({"CUDNN_CONV_WSCAP_DBG": "1"})
    plans = json.loads(free[1])["plans"]
    assert max(nbytes for _, nbytes, _, _ in plans) > 2**20
    assert capped == free
