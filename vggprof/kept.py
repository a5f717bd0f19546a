"""Where what is kept for the user lies: runs and calibrations, each maybe the only copy of what it holds."""

import os
from pathlib import Path
from typing import Final

DATA_VARIABLE: Final = "VGGPROF_DATA_DIR"


def data_directory() -> Path:
    """Return the user's directory, which need not exist; ``VGGPROF_DATA_DIR`` names another."""
    named = os.environ.get(DATA_VARIABLE, "")
    if named:
        return Path(named)
    from platformdirs import user_data_path  # noqa: PLC0415 - where the directory is named, it is not needed

    return user_data_path("vggprof", appauthor=False)
