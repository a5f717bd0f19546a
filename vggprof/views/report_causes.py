"""Why one network costs more than another, cause by cause in plain words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vggprof.compare import Against, Cause, Comparison, Quantity
from vggprof.views.document import Notes

# What layers do and hold, which is what the causes below are of; peaks and times have others.
_QUANTITIES = {
    Quantity.MACS: "the MACs",
    Quantity.OUTPUT_BYTES: "what is made",
    Quantity.SAVED_BYTES: "what is saved",
}


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a cause says of a network that has *more* or *less* of it."""

    said: str
    more: str = "more"
    less: str = "fewer"

    def of(self, factors: Mapping[Quantity, float]) -> str:
        """Return it of a network whose quantities it multiplies by *factors*."""
        words = dict.fromkeys(self.more if factor > 1 else self.less for factor in factors.values())
        return self.said.format(f"{'both ' if len(words) > 1 else ''}{' and '.join(words)}")


_MEANINGS = {
    Cause.RESOLUTION: _Meaning("computes at {} positions of the image"),
    Cause.WIDTH: _Meaning("has {} channels in its layers"),
    Cause.DEPTH: _Meaning("has {} layers of the same kinds"),
    Cause.KERNEL_SIZE: _Meaning("has {} kernels", "larger", "smaller"),
    Cause.BATCH: _Meaning("is given {} images at once"),
    Cause.ITEM_BYTES: _Meaning(
        "holds {} bytes for each number that a layer gives (none where a layer writes in place, one more "
        "where a dropout keeps its mask)"
    ),
    Cause.CLASSIFIER: _Meaning("has {} to do or to hold behind its last map", less="less"),
    Cause.OTHER_LAYERS: _Meaning("has {} layers of kinds that only one of the two has"),
}


def causes_in_words(comparison: Comparison) -> Iterator[Notes]:
    """Yield for each network but the first what the causes of its ratios mean, a line each.

    Only what can be seen in two decimals is said.
    """
    first = comparison.archs[0].name
    for against in comparison.against:
        lines = tuple(_lines(against))
        if lines:
            yield Notes(f"{against.name} / {first}, cause by cause", lines)


def _lines(against: Against) -> Iterator[str]:
    splits = [each for each in against.splits if each.quantity in _QUANTITIES and each.first and each.second]
    for cause, meaning in _MEANINGS.items():
        factors = {each.quantity: each.causes.get(cause, 1.0) for each in splits}
        seen = {quantity: factor for quantity, factor in factors.items() if f"{factor:.2f}" != "1.00"}
        if seen:
            said = f"{cause.said.capitalize()}: {against.name} {meaning.of(seen)}"
            yield f"{said}, which multiplies {_listed(seen)}."


def _listed(factors: Mapping[Quantity, float]) -> str:
    *others, last = (f"{_QUANTITIES[each]} by {factor:.2f}" for each, factor in factors.items())
    return f"{', '.join(others)} and {last}" if others else last
