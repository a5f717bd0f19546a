"""Two networks and why they differ: what findings are made from."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vggprof.analyzers import LayerRow
from vggprof.compare.attribution import Quantity, Split
from vggprof.compare.profile import Profile

# A share from which one part is called most of a whole.
MOST = 0.5
# Factors nearer to 1 than this are not told: they would be printed as 1.00 x.
TOLD = 0.005
# A ratio nearer to 1 than this is no difference that asks for a reason.
NOTABLE = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence made from numbers. *rule* says when it is made, and for a belief when it holds."""

    id: str
    claim: str
    holds: bool
    value: float
    text: str
    rule: str

    @property
    def belief(self) -> bool:
        """Whether it is a common belief, which may be false; all other claims hold."""
        return self.id.startswith("belief_")


@dataclass(frozen=True, slots=True)
class Pair:
    """The first network, another one, and what their ratios are made of."""

    first: Profile
    second: Profile
    splits: tuple[Split, ...]

    @property
    def names(self) -> tuple[str, str]:
        """What both are called."""
        return self.first.table.arch, self.second.table.arch

    def split(self, quantity: Quantity) -> Split | None:
        """Return what the ratio of *quantity* is made of, if both have some of it."""
        return next((s for s in self.splits if s.quantity is quantity and s.first and s.second), None)

    def notable(self, quantity: Quantity) -> Split | None:
        """Return what `split` does, if the networks differ enough in *quantity* to ask why."""
        split = self.split(quantity)
        return split if split is not None and abs(split.second / split.first - 1) >= NOTABLE else None

    def by_scale(self, quantity: Callable[[LayerRow], int]) -> Mapping[str, int]:
        """Return at each scale how much more of *quantity* the second network's layers have."""
        more = scale_sums(self.second, quantity)
        more.subtract(scale_sums(self.first, quantity))
        return more


def scale_sums(profile: Profile, quantity: Callable[[LayerRow], int]) -> Counter[str]:
    """Return how much of *quantity* the layers at each scale have."""
    sums: Counter[str] = Counter()
    said = profile.scales()
    for row in profile.table.rows:
        sums[said[row.name]] += quantity(row)
    return sums


def say_names(names: list[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def say_place(scale: str) -> str:
    """Return where a scale of the input is: ``in the classifier``, ``at 1/4 of the input's resolution``."""
    if scale == "classifier":
        return "in the classifier"
    return "at the input's full resolution" if scale == "full" else f"at {scale} of the input's resolution"
