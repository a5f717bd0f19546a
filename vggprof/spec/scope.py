"""Names of layers: given, numbered or derived, unique among their neighbours."""

import re
from dataclasses import dataclass, field

from vggprof.spec.nodes import Scalar
from vggprof.spec.place import Place, Problems

MAX_NAME = 100

_NAME = re.compile(r"[A-Za-z0-9_]+")
# conv1_1 is followed by relu1_1 and fc6 by dropout6, as Caffe's nets of the papers name them.
_FOLLOWED = re.compile(r"(?:conv|fc)((?:[0-9][0-9_a-z]*)?)")


@dataclass(slots=True)
class Scope:
    """One level of names: the layers of the net, of a group, of a branch or of one use of a block.

    Layers without a name are called after their op, or numbered from 0 where *numbered*.
    """

    prefix: str = ""
    numbered: bool = False
    _taken: dict[str, Place] = field(default_factory=dict)
    _count: int = 0
    _tried: dict[str, int] = field(default_factory=dict)

    def inner(self, name: str, *, numbered: bool = False) -> "Scope":
        """Return the level below *name*."""
        return Scope(f"{self.prefix}{name}.", numbered)

    def given(self, name: Scalar, problems: Problems) -> str:
        """Return *name*, taken from now on; adds a problem where it cannot be a name, or is taken."""
        text = name.text[:MAX_NAME]
        if not _NAME.fullmatch(name.text) or len(name.text) > MAX_NAME:
            problems.add(
                name.at, f"{text!r} is no name; letters, digits and '_' are allowed, {MAX_NAME} at most"
            )
        elif text in self._taken:
            problems.add(
                name.at,
                f"{self.prefix}{text} names two layers; the other is in line {self._taken[text].line}",
            )
        self._taken.setdefault(text, name.at)
        return text

    def unnamed(self, word: str, at: Place) -> str:
        """Return a name for a layer that was not given one."""
        if not self.numbered:
            return self._free(word, at)
        while str(self._count) in self._taken:
            self._count += 1
        return self._free(str(self._count), at)

    def follower(self, short: str, base: str | None, at: Place) -> str:
        """Return a name for what follows *base*: ``relu1_1`` after ``conv1_1``, ``c1_tanh`` after ``c1``."""
        if base is None:
            return self._free(short, at)
        numbered = _FOLLOWED.fullmatch(base)
        return self._free(short + numbered[1] if numbered else f"{base}_{short}", at)

    def _free(self, wish: str, at: Place) -> str:
        """Return *wish*, or the first of wish_2, wish_3, ... that is free."""
        name = wish
        while name in self._taken:
            self._tried[wish] = self._tried.get(wish, 1) + 1
            name = f"{wish}_{self._tried[wish]}"
        self._taken[name] = at
        return name
