"""The state of a pickle being read: where it stands, the stack and the memo."""

from typing import Any

MAX_OPEN_MARKS = 256  # how deeply a file may nest what it has begun and not ended


class RefusedError(Exception):
    """What is wrong with a pickle."""


class Machine:
    """A pickle being read: where it stands, the stack and the memo."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        end = self.at + count
        if end > len(self.data):
            raise RefusedError(f"cut short: {count} bytes announced, {len(self.data) - self.at} left")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, count: int) -> int:
        """Return the next *count* bytes as an unsigned number."""
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        """Return the text up to the next line end."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise RefusedError("cut short in a line of text")
        piece, self.at = self.data[self.at : end], end + 1
        return piece.decode("latin-1")

    def pop(self) -> Any:  # noqa: ANN401 - plain data
        """Take the top of the stack, but nothing from below an open mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise RefusedError("takes from below a mark")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take everything above the last mark."""
        if not self.marks:
            raise RefusedError("ends what it has not begun")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, kind: type) -> Any:  # noqa: ANN401 - of the type asked for
        """Return the top of the stack, which must be of one type."""
        if type(self.stack[-1]) is not kind:
            raise RefusedError(f"adds to something that is no {kind.__name__}")
        return self.stack[-1]

    def mark(self) -> None:
        """Remember this height of the stack."""
        if len(self.marks) >= MAX_OPEN_MARKS:
            raise RefusedError(f"nested more than {MAX_OPEN_MARKS} levels deep")
        self.marks.append(len(self.stack))
