"""Finding cuDNN libraries by their places, and choosing among them."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from vggprof.errors import UsageError
from vggprof.memory.workspaces import libraries, targets
from vggprof.memory.workspaces.libraries import PATH_VARIABLE, CudnnLibrary, find_libraries
from vggprof.memory.workspaces.targets import TORCH_CUDNN, choose, torch_cudnn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the places of Linux")


def _wheel(root: Path, version: str, cuda: int = 13) -> Path:
    """What pip install --target leaves of a cuDNN wheel."""
    lib = root / "nvidia" / "cudnn" / "lib"
    lib.mkdir(parents=True)
    (lib / "libcudnn.so.9").touch()
    (root / f"nvidia_cudnn_cu{cuda}-{version}.dist-info").mkdir()
    return root


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide what is installed here."""
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(libraries, "sys", SimpleNamespace(path=[], prefix=str(tmp_path / "nowhere")))
    monkeypatch.setattr(libraries, "_SYSTEM", ())


def test_wheels_tell_their_version_and_cuda(tmp_path: Path) -> None:
    root = _wheel(tmp_path / "a", "9.19.0.56", cuda=12)
    (found,) = find_libraries(root)
    assert found == CudnnLibrary("9.19.0.56", root / "nvidia/cudnn/lib/libcudnn.so.9", "given", 12)
    assert found.askable


@pytest.mark.parametrize("part", ["nvidia/cudnn/lib", "nvidia/cudnn/lib/libcudnn.so.9"])
def test_a_wheel_can_be_named_by_its_parts(tmp_path: Path, part: str) -> None:
    root = _wheel(tmp_path / "a", "9.20.0.48")
    assert [library.version for library in find_libraries(root / part)] == ["9.20.0.48"]


def test_system_libraries_tell_their_version_by_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libcudnn.so.9.13.1").touch()
    (tmp_path / "libcudnn.so.9").symlink_to("libcudnn.so.9.13.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    (found,) = find_libraries()
    assert (found.version, found.origin, found.cuda) == ("9.13.1", "system", None)


def test_headers_tell_the_version_of_an_unpacked_archive(tmp_path: Path) -> None:
    for directory in ("lib", "include"):
        (tmp_path / directory).mkdir()
    (tmp_path / "lib" / "libcudnn.so.9").touch()
    defined = ("MAJOR 9", "MINOR 7", "PATCHLEVEL 0", "VERSION (CUDNN_MAJOR * 10000)")
    header = "".join(f"#define CUDNN_{line}\n" for line in defined)
    (tmp_path / "include" / "cudnn_version.h").write_text(header)
    (found,) = find_libraries(tmp_path / "lib")
    assert (found.version, found.askable) == ("9.7.0", False)


def test_nearer_places_win_and_newer_versions_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, extra = _wheel(tmp_path / "site", "9.26.0.51"), _wheel(tmp_path / "extra", "9.19.0.56")
    again = _wheel(tmp_path / "again", "9.26.0.51")
    monkeypatch.setattr(libraries, "sys", SimpleNamespace(path=[str(site)], prefix=str(tmp_path)))
    monkeypatch.setenv(PATH_VARIABLE, os.pathsep.join([str(extra), str(again)]))
    found = find_libraries()
    assert [(library.version, library.origin) for library in found] == [
        ("9.26.0.51", PATH_VARIABLE),
        ("9.19.0.56", PATH_VARIABLE),
    ]
    assert found[0].path.is_relative_to(again)


def test_places_without_cudnn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_libraries() == ()
    with pytest.raises(UsageError, match="no cuDNN 9 here"):
        find_libraries(tmp_path)
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path))
    with pytest.raises(UsageError, match="no cuDNN 9 here"):
        find_libraries()


def _library(version: str) -> CudnnLibrary:
    return CudnnLibrary(version, Path(version), "given", 13)


OLD, MIDDLE, NEW = _library("9.19.0.56"), _library("9.20.0.48"), _library("9.26.0.51")


@pytest.mark.parametrize(
    ("cudnn", "torch", "expected", "exact"),
    [
        ("9.19", None, OLD, True),
        ("9.19.0.56", None, OLD, True),
        ("9.19.0.57", None, OLD, False),
        (None, "2.11", OLD, True),
        (None, "2.12.1", MIDDLE, True),
        (None, "2.13.0+cu130", MIDDLE, True),
        (None, "2.14", NEW, False),  # 9.24 is nearer to 9.26 than to 9.20
        (None, "2.15.0", NEW, True),
        ("9.23", None, NEW, False),  # as far from 9.20 as from 9.26: the newer
        ("9.10", None, OLD, False),
    ],
)
def test_targets_choose_their_library(
    cudnn: str | None, torch: str | None, expected: CudnnLibrary, *, exact: bool
) -> None:
    choice = choose((NEW, MIDDLE, OLD), cudnn=cudnn, torch=torch)
    assert choice.library == expected
    assert choice.exact is exact
    assert (choice.note is None) is exact
    assert set(choice.others) == (set() if exact else {NEW, MIDDLE, OLD} - {expected})


def test_what_is_missing_is_named_with_the_way_to_get_it() -> None:
    note = choose((NEW,), torch="2.11").note
    assert note is not None
    assert note.startswith("cuDNN 9.19.0.56 is not at hand, 9.26.0.51 answers instead")
    assert "'nvidia-cudnn-cu13==9.19.0.56'" in note
    assert "'nvidia-cudnn-cu13==9.10.*'" in str(choose((NEW,), cudnn="9.10").note)


def test_the_installed_torch_is_the_target_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "installed_version", lambda _: "2.12.0+cpu")
    assert choose((NEW, MIDDLE, OLD)).library == MIDDLE
    monkeypatch.setattr(targets, "installed_version", lambda _: None)
    choice = choose((NEW, MIDDLE, OLD))
    assert (choice.library, choice.wanted, choice.exact) == (NEW, None, False)


def test_old_versions_and_none_at_all_have_no_library() -> None:
    old = _library("9.1.0.70")
    assert choose((old,), cudnn="9.1").note == "cuDNN 9.1 cannot be asked about GPUs; 9.8 and later can"
    assert choose((NEW, old), cudnn="9.1").library is None
    nobody = choose((old,), cudnn="9.19")
    assert (nobody.library, nobody.wanted) == (None, "9.19")
    assert "no cuDNN is installed here" in str(nobody.note)


@pytest.mark.parametrize("version", ["9", "9.x", "newest", "9.19rc"])
def test_versions_that_are_none(version: str) -> None:
    with pytest.raises(UsageError, match=r"write it like 9.19"):
        choose((NEW,), cudnn=version)


def test_releases_that_are_not_known() -> None:
    with pytest.raises(UsageError, match=r"which cuDNN torch 2\.7\.1 brings is not known"):
        torch_cudnn("2.7.1")
    assert list(TORCH_CUDNN) == sorted(TORCH_CUDNN)
