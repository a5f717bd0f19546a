"""Places in a spec file, and the problems found at them."""

from dataclasses import dataclass
from typing import Never

from vggprof.errors import Problem, SpecError

MAX_PROBLEMS = 50
MAX_CHARACTERS = 600  # of one message


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, counted from 1."""

    line: int
    column: int


class Problems:
    """Collects what is wrong with one file; a mistake in a block is told once, however often it is used.

    Gives up, with SpecError, at MAX_PROBLEMS: more would scroll the first ones away, and take time to word.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: set[tuple[Place, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, at: Place, message: str) -> None:
        """Note that *message* is wrong at *at*; it is kept to one line."""
        self._found.add((at, " ".join(message.split())[:MAX_CHARACTERS]))
        if len(self._found) == MAX_PROBLEMS:
            raise self.error("there may be more problems; these are the first found")

    def stop(self, at: Place, message: str) -> Never:
        """Note a problem after which reading on makes no sense, and raise SpecError with all there are."""
        self.add(at, message)
        raise self.error()

    def error(self, *last: str) -> SpecError:
        """Return all problems in the order of the file, then *last* at the place of the last one."""
        found = sorted(self._found)
        told = [*found, *((found[-1][0], message) for message in last)]
        return SpecError([Problem(self._file, at.line, at.column, message) for at, message in told])

    def raise_if_any(self) -> None:
        """Raise SpecError where anything is wrong."""
        if self:
            raise self.error()
