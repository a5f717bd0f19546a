"""Finding the function that a factory ARCH names: Python's import, with the ways it fails put into one line.

A module is imported as ``python -m`` would import it here. A file is run anew each time, as a script is: its
folder is on the path while its function runs, and the modules it takes from there are its own, so that two
files may each have a ``layers.py`` beside them.
"""

import pkgutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from vggprof.errors import ArchError, did_you_mean
from vggprof.spec.arch import FactoryArch

MAX_CAUSE = 300


@contextmanager
def import_path(arch: FactoryArch) -> Iterator[None]:
    """Put on the path what *arch* may import; afterwards the path is as it was, whatever *arch* did to it."""
    before, modules = list(sys.path), set(sys.modules)
    folder = None if arch.file is None else arch.file.resolve().parent
    if folder is None:
        sys.path.append("")  # the working directory, as `python -m` has it
    else:
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
        if folder is not None:
            _forget(folder, set(sys.modules) - modules)


def find_function(arch: FactoryArch) -> object:
    """Return what *arch* names, imported. Raises ArchError where it is not there or its import fails."""
    with one_line_cause(arch, "its import failed"):
        found: object = _import_file(arch.file) if arch.file else _import_module(arch.place)
    name = arch.place
    for attribute in arch.function.split("."):
        with one_line_cause(arch, "its import failed"):
            inner = getattr(found, attribute, _MISSING)
        if inner is _MISSING:
            known = [known for known in dir(found) if not known.startswith("_")]
            raise ArchError(f"{name} has no {attribute!r}{did_you_mean(attribute, known)}")
        found, name = inner, f"{name}:{attribute}"
    return found


@contextmanager
def one_line_cause(arch: FactoryArch, what: str) -> Iterator[None]:
    """Turn whatever is raised inside into an ArchError that says *what* failed, why, and in which line."""
    try:
        yield
    except ArchError:
        raise
    except (Exception, SystemExit) as error:
        raise ArchError(
            f"{arch.place}:{arch.function}: {what}: {_cause(error)}{_line(arch, error)}"
        ) from error


def _cause(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    cause = f"{type(error).__name__}: {lines[0]}"[:MAX_CAUSE].removesuffix(": ")
    return cause + ("; weights have no values here that could be read" if "meta tensor" in cause else "")


def _line(arch: FactoryArch, error: BaseException) -> str:
    """Return the last line of the factory's own file that the error came through."""
    if arch.file is None:
        return ""
    own, number, frame = str(arch.file.resolve()), None, error.__traceback__
    while frame is not None:
        number = frame.tb_lineno if frame.tb_frame.f_code.co_filename == own else number
        frame = frame.tb_next
    return "" if number is None else f" (line {number})"


def _import_module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise  # a module that the named one needs
        parent, _, last = missing.rpartition(".")
        near = did_you_mean(last, _submodules(parent))
        install = "" if parent else f"; `pip install {missing}` may bring it"
        raise ArchError(f"there is no module {missing!r} in this Python{near}{install}") from error


def _submodules(parent: str) -> list[str]:
    """Return the modules in the package *parent*, or those of the whole path for ``""``."""
    path: Iterable[str] | None = getattr(sys.modules.get(parent), "__path__", ()) if parent else None
    return [module.name for module in pkgutil.iter_modules(path)]


def _import_file(file: Path) -> ModuleType:
    """Run *file* as a module of its own name; nothing is read from or written to a bytecode cache."""
    path = file.resolve()
    if not path.is_file():
        raise ArchError(f"there is no file {file}")
    name = f"vggprof_factory_{sha256(str(path).encode()).hexdigest()[:16]}"
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    assert isinstance(spec, ModuleSpec), "a loader was given"
    module = module_from_spec(spec)
    code = loader.source_to_code(path.read_bytes(), str(path))
    sys.modules[name] = module  # dataclasses and typing look there
    exec(code, vars(module))
    return module


def _forget(folder: Path, names: set[str]) -> None:
    """Drop those modules of *names* that belong to one of *names* that lies right in *folder*."""
    specs = {name: getattr(sys.modules[name], "__spec__", None) for name in names if "." not in name}
    own = {top for top, spec in specs.items() if spec is not None and folder in _homes(spec)}
    for name in names:
        if name.partition(".")[0] in own:
            sys.modules.pop(name, None)


def _homes(spec: ModuleSpec) -> set[Path]:
    """Return the folders whose being on the path makes *spec* importable."""
    packages = {Path(package).parent for package in spec.submodule_search_locations or ()}
    return packages or ({Path(spec.origin).parent} if spec.has_location and spec.origin else set())


_MISSING = object()
