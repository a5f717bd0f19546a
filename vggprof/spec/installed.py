"""What an installed Python module was installed from, found without importing it."""

from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path


def installed_content(module: str) -> str | None:
    """Return the distribution that *module* is part of, with its version and a digest of its files.

    None unless the files that Python would import are those that an installer put there: not for an editable
    install, for a distribution of another name than its module, or for what merely lies on the path.
    """
    top = module.partition(".")[0]
    origin = _origin(top)
    try:
        found = distribution(top)
    except (PackageNotFoundError, ValueError):
        return None
    record = found.read_text("RECORD")  # every installed file with its sha256
    if origin is None or record is None or not _is_of(found, record, origin):
        return None
    return f"{top} {found.version} {sha256(record.encode()).hexdigest()}"


def _origin(top: str) -> Path | None:
    """Return the file that Python would import for the top-level module *top*."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _is_of(found: Distribution, record: str, origin: Path) -> bool:
    """Whether *origin* is one of the files in *record*, a line each: path, digest, size."""
    root = Path(str(found.locate_file(""))).resolve()
    try:
        inside = origin.resolve().relative_to(root).as_posix()
    except ValueError:
        return False
    return any(line.startswith(f"{inside},sha256=") for line in record.splitlines())
