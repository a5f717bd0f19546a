"""A measurement as one line of JSON, from which `decode` makes an equal one."""

import json
from dataclasses import fields, is_dataclass

from vggprof._version import __version__
from vggprof.measurement.values import AllocatorEvent, Measurement

FORMAT = "vggprof-measurement"
# The number of the layout that docs/measurement-file.md describes. A key that goes away or changes its
# meaning gets a new number; a new key that may be left out does not.
SCHEMA_VERSION = 1

# There are thousands of these, so each is a list of its fields' values, in order.
ROWS = (AllocatorEvent,)


def to_json(measurement: Measurement) -> str:
    """Return *measurement* as one line of JSON, without its end. Raises ValueError for NaN or infinity."""
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "vggprof_version": __version__,
        "measurement": plain(measurement),
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def plain(value: object) -> object:
    """Return *value* in what JSON knows: an object for a dataclass, a list for a tuple, else as it is."""
    if isinstance(value, ROWS):
        return [getattr(value, field.name) for field in fields(value)]
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value
