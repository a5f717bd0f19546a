"""cuDNN's answers in a file of their own, so that a result can be made again where cuDNN is another one."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from vggprof.errors import FileFormatError
from vggprof.memory.workspaces.plans import Plan
from vggprof.memory.workspaces.process import Failure
from vggprof.memory.workspaces.query import CudnnQuery

Plans = tuple[Plan, ...]
T = TypeVar("T")


class NotRecordedError(Exception):
    """A question that the recorded answers do not have: they are of something else, and nothing stands in.

    No VggprofError, past which a search for what fits would go on as if the network could not be run so.
    """


class Recorded:
    """Answers of one cuDNN by device and question; all that is asked has to be among them."""

    def __init__(self, version: str, answers: Mapping[str, Plans]) -> None:
        self.version = version
        self.answers = answers

    def find(self, device: str, queries: Sequence[CudnnQuery]) -> dict[CudnnQuery, Plans | Failure]:
        """Return an answer to each of *queries* on *device* (its properties as JSON).

        Raises NotRecordedError for one that is not there.
        """
        try:
            return {query: self.answers[place(device, query)] for query in queries}
        except KeyError:
            missing = next(query for query in queries if place(device, query) not in self.answers)
            raise NotRecordedError(
                f"not among the recorded answers of cuDNN {self.version}, which have to be recorded anew: "
                f"{missing.key()} on {json.loads(device)['deviceName']}"
            ) from None


def place(device: str, query: CudnnQuery) -> str:
    """Return where the answer to *query* on *device* is kept."""
    return blake2b(f"{device} {query.key()}".encode(), digest_size=8).hexdigest()


def read_recorded(path: Path) -> Recorded:
    """Return the answers in *path*. Raises FileFormatError where it holds none."""
    try:
        said = json.loads(zlib.decompress(path.read_bytes()))
        kinds = [Plan(name, 0, tuple(notes), fallback) for name, notes, fallback in said["plans"]]
        orders = [
            tuple(replace(kinds[number], workspace_bytes=size) for number, size in order)
            for order in said["orders"]
        ]
        return Recorded(said["cudnn"], {key: orders[number] for key, number in said["answers"].items()})
    except (OSError, zlib.error, ValueError, LookupError, TypeError) as error:
        raise FileFormatError(f"{path} holds no answers of cuDNN: {error}") from error


def write_recorded(path: Path, recorded: Recorded) -> None:
    """Write *recorded* to *path*; each kind of plan and each order of plans once."""
    answers = dict(sorted(recorded.answers.items()))
    orders = _numbered(answers.values())
    kinds = _numbered(_kind(plan) for order in orders for plan in order)
    said = {
        "cudnn": recorded.version,
        "plans": [[plan.name, plan.notes, plan.fallback] for plan in kinds],
        "orders": [[[kinds[_kind(plan)], plan.workspace_bytes] for plan in order] for order in orders],
        "answers": {key: orders[order] for key, order in answers.items()},
    }
    path.write_bytes(zlib.compress(json.dumps(said, separators=(",", ":")).encode(), 9))


def _kind(plan: Plan) -> Plan:
    return replace(plan, workspace_bytes=0)


def _numbered(things: Iterable[T]) -> dict[T, int]:
    return {thing: number for number, thing in enumerate(dict.fromkeys(things))}
