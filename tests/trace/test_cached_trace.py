"""A trace is made once, and again when anything that decides it has changed."""

import subprocess
import sys
from pathlib import Path

import pytest

from vggprof import cache
from vggprof.trace import Layer, Mark, Optimizer, Phase, Setup, Trace, cached
from vggprof.trace.cached import cached_trace
from vggprof.trace.files import to_json


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VGGPROF_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("VGGPROF_NO_CACHE", raising=False)
    return tmp_path


class Maker:
    """Makes a small trace, and counts how often it was asked to."""

    def __init__(self, arch: str, setup: Setup) -> None:
        self.made = 0
        self.trace = Trace(
            arch=arch,
            setup=setup,
            torch_version="2.13.0",
            layers=(Layer("conv1", "conv1", "Conv2d", ((1, 3, 8, 8),), (1, 4, 8, 8), True),),
            parameters=(),
            storages=(),
            operators=(),
            events=(Mark(None, Phase.MODEL),),
        )

    def __call__(self) -> Trace:
        self.made += 1
        return self.trace


def test_the_second_time_it_is_read() -> None:
    make = Maker("net", Setup())
    first = cached_trace("net", Setup(), make, content_key="a")
    second = cached_trace("net", Setup(), make, content_key="a")
    assert first == second == make.trace
    assert make.made == 1


def test_whatever_decides_the_trace_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker("net", Setup())
    cached_trace("net", Setup(), make, content_key="a")
    cached_trace("net", Setup(batch=2), make, content_key="a")
    cached_trace("net", Setup(optimizer=Optimizer.ADAM), make, content_key="a")
    cached_trace("net", Setup(), make, content_key="b")
    cached_trace("net", Setup(), make, content_key="a", more=("steps=3",))
    assert make.made == 5
    for name, other in (("__version__", "0.0.0"), ("SCHEMA_VERSION", 99), ("version", lambda _: "2.0")):
        with monkeypatch.context() as patch:
            patch.setattr(cached, name, other)
            cached_trace("net", Setup(), make, content_key="a")
    assert make.made == 8
    cached_trace("net", Setup(), make, content_key="a")
    assert make.made == 8


def test_a_changed_module_of_our_own_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "package" / "room" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text("a = 1\n")
    monkeypatch.setattr(cached, "__file__", str(module))
    before = cached._own_sources()
    assert cached._own_sources() == before
    module.write_text("a = 12\n")
    assert cached._own_sources() != before


def test_without_a_content_key_nothing_is_kept(directory: Path) -> None:
    make = Maker("net", Setup())
    cached_trace("net", Setup(), make, content_key=None)
    cached_trace("net", Setup(), make, content_key=None)
    assert make.made == 2
    assert not list(directory.iterdir())


def test_another_name_of_the_same_network() -> None:
    make = Maker("vgg16", Setup())
    cached_trace("vgg16", Setup(), make, content_key="a")
    again = cached_trace("vgg-d", Setup(), make, content_key="a")
    assert make.made == 1
    assert again.arch == "vgg-d"


def test_an_entry_of_another_make_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is whole but says no trace, as when a developer changes the layout and not its number."""
    make = Maker("net", Setup())
    with monkeypatch.context() as patch:
        patch.setattr(cached, "to_json", lambda trace: "{}")
        cached_trace("net", Setup(), make, content_key="a")
    assert cached_trace("net", Setup(), make, content_key="a") == make.trace
    assert make.made == 2
    assert cached_trace("net", Setup(), make, content_key="a") == make.trace
    assert make.made == 2


def test_a_failure_is_not_kept() -> None:
    def fail() -> Trace:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        cached_trace("net", Setup(), fail, content_key="a")
    make = Maker("net", Setup())
    assert cached_trace("net", Setup(), make, content_key="a") == make.trace


def test_torch_is_not_imported() -> None:
    """A second run of a command reads its trace and never needs torch."""
    key = cached._key("a", Setup(), ())
    assert key is not None
    cache.put("trace", key, to_json(Maker("net", Setup()).trace))
    script = (
        "import sys; from vggprof.trace.cached import cached_trace; from vggprof.trace import Setup\n"
        "trace = cached_trace('net', Setup(), lambda: sys.exit('asked to make it'), content_key='a')\n"
        "assert trace.arch == 'net' and 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
