"""Versions of installed packages by the names of their directories; importlib.metadata is slow to import."""

import sys
from pathlib import Path


def installed_version(package: str) -> str | None:
    """Return the version of *package* by its file name, like "nvidia_cudnn_frontend"; None if not here."""
    for entry in dict.fromkeys(sys.path):
        for info in Path(entry or ".").glob(f"{package}-*.dist-info"):
            return info.name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return None
