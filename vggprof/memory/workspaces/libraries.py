"""The cuDNN libraries at hand: found by their places and names, without loading or importing anything."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vggprof.errors import UsageError

# A pathsep-separated list of further places: a libcudnn, its directory or a `pip install --target` directory.
PATH_VARIABLE = "VGGPROF_CUDNN_PATH"
# Property descriptors can be made from JSON since then.
OLDEST_ASKABLE = (9, 8)

_WINDOWS = sys.platform == "win32"
_NAMES = ("cudnn64_9.dll",) if _WINDOWS else ("libcudnn.so.9",)
_WHEEL = ("nvidia", "cudnn", "bin" if _WINDOWS else "lib")
_SYSTEM = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/cuda/lib64",
)


@dataclass(frozen=True, slots=True)
class CudnnLibrary:
    """One cuDNN that can be loaded."""

    version: str  # "9.26.0.51", or "9.26.0" where no package tells the build
    path: Path
    origin: str  # "package", "system", "given" or the variable's name
    cuda: int | None  # major version of CUDA that it is built for, where its package tells

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version for comparing."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def askable(self) -> bool:
        """Whether it can be asked about a GPU that is not here."""
        return self.numbers[:2] >= OLDEST_ASKABLE


def find_libraries(*more: Path) -> tuple[CudnnLibrary, ...]:
    """Return the libraries at hand, one a version, newest first; *more* are further places to look.

    A version found twice is the one from *more*, the variable, the packages of this Python, the system, in
    that order. Raises UsageError where a place of *more* or of the variable holds no cuDNN.
    """
    named = [Path(place) for place in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if place]
    places = [
        *((place, "given", True) for place in more),
        *((place, PATH_VARIABLE, True) for place in named),
        *((Path(entry), "package", False) for entry in dict.fromkeys(sys.path) if entry),
        *((Path(entry), "system", False) for entry in _system_directories()),
    ]
    found: dict[str, CudnnLibrary] = {}
    for place, origin, must in places:
        library = _library_in(place, origin)
        if library is not None:
            found.setdefault(library.version, library)
        elif must:
            raise UsageError(f"{place}: no cuDNN 9 here; name a {_NAMES[0]}, its directory or one of pip's")
    return tuple(sorted(found.values(), key=lambda library: library.numbers, reverse=True))


def _system_directories() -> Iterator[str]:
    if not _WINDOWS:
        yield from (entry for entry in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if entry)
        yield from _SYSTEM
    yield str(Path(sys.prefix) / ("Library/bin" if _WINDOWS else "lib"))  # conda's


def _library_in(place: Path, origin: str) -> CudnnLibrary | None:
    """Return the library that *place* is or holds; None where there is none or its version cannot be told."""
    files = [place, *(place / name for name in _NAMES), *(place.joinpath(*_WHEEL, name) for name in _NAMES)]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return None
    packaged = _packaged_version(path)
    if packaged is not None:
        return CudnnLibrary(packaged[0], path, origin, packaged[1])
    version = _version_beside(path)
    return CudnnLibrary(version, path, origin, None) if version else None


def _packaged_version(path: Path) -> tuple[str, int] | None:
    """Return version and CUDA version of the wheel that *path* lies in, by its dist-info directory's name."""
    if path.parent.parts[-3:] != _WHEEL:
        return None
    for entry in path.parents[3].glob("nvidia_cudnn_cu*.dist-info"):
        name, _, version = entry.name.removesuffix(".dist-info").partition("-")
        return version, int(name.removeprefix("nvidia_cudnn_cu"))
    return None


def _version_beside(path: Path) -> str | None:
    """Return the version from the name of the file behind a link, or from the header that comes with it."""
    _, _, version = path.resolve().name.partition(".so.")
    if version.count(".") == 2:
        return version
    header = path.parents[1] / "include" / "cudnn_version.h"
    return _header_version(header.read_text(errors="replace")) if header.is_file() else None


def _header_version(text: str) -> str | None:
    """Return the version that a cudnn_version.h defines."""
    words = [line.split() for line in text.splitlines() if line.startswith("#define CUDNN_")]
    defined = {line[1]: line[2] for line in words if len(line) > 2}
    parts = [defined.get(f"CUDNN_{part}", "") for part in ("MAJOR", "MINOR", "PATCHLEVEL")]
    return ".".join(parts) if all(part.isdigit() for part in parts) else None
