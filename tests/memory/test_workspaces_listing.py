"""What is at hand, and who answers for which torch."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vggprof.memory.workspaces import listing, targets
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.listing import list_cudnn
from vggprof.memory.workspaces.targets import TORCH_CUDNN

Set = Callable[..., None]


def library(version: str) -> CudnnLibrary:
    return CudnnLibrary(version, Path(f"/{version}/libcudnn.so.9"), "package", 13)


NEW, MIDDLE, SYSTEM, OLD = map(library, ("9.26.0.51", "9.20.0.48", "9.19.0", "9.1.0.70"))


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Return a function that says what is installed."""

    def install(*libraries: CudnnLibrary, torch: str | None = "2.15.0+cu130", frontend: bool = True) -> None:
        monkeypatch.setattr(listing, "find_libraries", lambda: libraries)
        monkeypatch.setattr(listing, "find_frontend", lambda: Path("it") if frontend else None)
        for module in (listing, targets):
            monkeypatch.setattr(module, "installed_version", lambda _: torch)

    return install


def test_libraries_name_the_torch_that_brings_them(at_hand: Set) -> None:
    at_hand(NEW, MIDDLE, SYSTEM, OLD)
    found = list_cudnn()
    assert [(one.library, one.torch) for one in found.libraries] == [
        (NEW, ("2.15",)),
        (MIDDLE, ("2.12", "2.13")),
        (SYSTEM, ("2.11",)),  # 9.19.0, as far as it tells its version
        (OLD, ()),
    ]


def test_each_release_has_who_answers_for_it(at_hand: Set) -> None:
    at_hand(NEW, MIDDLE)
    found = list_cudnn()
    assert (found.torch, found.answers) == ("2.15.0+cu130", NEW)
    answers = {torch: (choice.library, choice.exact) for torch, choice in found.releases}
    assert list(answers) == list(TORCH_CUDNN)
    assert answers["2.12"] == (MIDDLE, True)
    assert answers["2.11"] == (MIDDLE, False)  # 9.19 is nearer to 9.20 than to 9.26
    assert answers["2.15"] == (NEW, True)


def test_without_the_frontend_nobody_answers(at_hand: Set) -> None:
    at_hand(NEW, frontend=False)
    found = list_cudnn()
    assert (found.choice.library, found.frontend, found.answers) == (NEW, False, None)


def test_without_any_library_the_way_out_is_named(at_hand: Set) -> None:
    at_hand()
    found = list_cudnn()
    assert (found.libraries, found.answers) == ((), None)
    assert "pip install nvidia-cudnn-cu13" in str(found.choice.note)


def test_without_torch_the_newest_answers(at_hand: Set) -> None:
    at_hand(NEW, MIDDLE, torch=None)
    found = list_cudnn()
    assert (found.torch, found.answers, found.choice.exact) == (None, NEW, False)
