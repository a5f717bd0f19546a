"""Every error that vggprof raises on purpose.

VggprofError                 our fault unless a subclass says otherwise: exit 1
|-- UsageError               a command line or an argument that cannot be answered: exit 2
|   |-- ArchError            an ARCH that names nothing, or whose module cannot be built or run
|   |-- DeviceError          a GPU that is not in the catalogue, or a memory size that makes no sense
|   |-- SpecError            one or more problems in a spec file, each at file:line:column
|   `-- FileFormatError      a file that is not what its reader needs: truncated, hostile, wrong version
|-- CheckFailed              a check the user asked for failed (a gate, --fail-on-oom): exit 3
|-- GpuUnavailable           a GPU is needed and not usable: exit 4
`-- MeasurementFailed        a measurement crashed or did not end in time: exit 5

Running out of memory, predicted or measured, is a result and has no class here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar


class VggprofError(Exception):
    """Base of all our errors; ``exit_code`` is what the command line ends with."""

    exit_code: ClassVar[int] = 1


class UsageError(VggprofError):
    """What was asked cannot be answered; the message says what is allowed."""

    exit_code = 2


class ArchError(UsageError):
    """An ARCH that names nothing, or whose module cannot be built or run."""


class DeviceError(UsageError):
    """A GPU nobody knows, or a memory size that makes no sense."""


class FileFormatError(UsageError):
    """A file that is not what its reader needs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place of a file; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class SpecError(UsageError):
    """All the problems of a spec at once, a line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CheckFailed(VggprofError):  # noqa: N818 - a failed check is an answer, not an accident
    """A check the user asked for did not hold."""

    exit_code = 3


class GpuUnavailable(VggprofError):  # noqa: N818 - says what is the case
    """A GPU is needed here and none is usable."""

    exit_code = 4


class MeasurementFailed(VggprofError):  # noqa: N818 - says what is the case
    """A measurement crashed, or did not end in time."""

    exit_code = 5


def did_you_mean(word: str, allowed: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` with the nearest of *allowed*, or ``""`` where none is near."""
    near = get_close_matches(word, allowed, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
