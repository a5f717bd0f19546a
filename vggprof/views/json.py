"""Results as JSON: the contract that other programs build on."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from vggprof._version import __version__
from vggprof.trace.setup import Setup

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"

# Grows by one when a key goes away or changes its meaning; a new key leaves it as it is.
SCHEMA_VERSION = 1


def json_of(
    command: str, result: Mapping[str, Json], *, arch: Json = None, setup: Setup | None = None
) -> str:
    """Return *result* as JSON in the envelope of every command. Raises ValueError for NaN or infinity.

    ::

        {
          "schema_version": 1,
          "vggprof_version": "0.1.0",
          "command": "layers",
          "arch": "lenet5",
          "setup": {"batch": 1, "mode": "train", ...},
          ...the keys of the result
        }
    """
    envelope: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "vggprof_version": __version__,
        "command": command,
        "arch": arch,
        "setup": None if setup is None else setup_json(setup),
    }
    return json.dumps({**envelope, **result}, indent=2, allow_nan=False) + "\n"


def setup_json(setup: Setup) -> Json:
    """Return the fields of *setup*; optimizer and zero_grad are null where none runs."""
    return {
        "batch": setup.batch,
        "mode": setup.mode.value,
        "optimizer": setup.optimizer.value if setup.training else None,
        "dtype": setup.dtype.value,
        "amp": setup.amp.value,
        "layout": setup.layout.value,
        "accumulate": setup.accumulate,
        "inplace": setup.inplace,
        "freeze": setup.freeze,
        "checkpoint": setup.checkpoint,
        "zero_grad": setup.zero_grad.value if setup.training else None,
    }
