"""What tests of every room share."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure.
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

# A shell starts its background jobs with Ctrl-C ignored, which their processes inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

GOLDEN = Path(__file__).parent / "golden"

Golden: TypeAlias = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew from what comes out"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return ``golden(name, text)``, which wants *text* to be what ``tests/golden/<name>`` holds."""
    update = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        assert text.strip(), f"nothing came out for {name}"
        if update:
            (GOLDEN / name).write_bytes(text.encode())
        assert text == (GOLDEN / name).read_bytes().decode(), f"see tests/golden/{name}"

    return check


@pytest.fixture(scope="session", autouse=True)
def _own_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache and kept runs out of the tests and the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGGPROF_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("VGGPROF_NO_CACHE", raising=False)
        patch.setenv("VGGPROF_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """Return torchvision; skips where it is missing or was built for another torch than the one here."""
    try:
        import torchvision  # noqa: PLC0415
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    assert isinstance(torchvision, ModuleType)
    return torchvision
