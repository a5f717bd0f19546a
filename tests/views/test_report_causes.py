"""Causes in plain words are those of the table, and say which way they go."""

import pytest

from vggprof import api
from vggprof.compare import Cause, Quantity
from vggprof.trace import Setup
from vggprof.views.report_causes import causes_in_words

SETUP = Setup(batch=2)


def said(*archs: str) -> dict[str, str]:
    """Return the one comparison's lines by the cause that they begin with."""
    (notes,) = causes_in_words(api.compare(archs, SETUP))
    assert notes.title == f"{archs[1]} / {archs[0]}, cause by cause"
    return {line.partition(":")[0]: line for line in notes.items}


@pytest.mark.parametrize("archs", [("alexnet", "vgg11"), ("vgg11", "alexnet"), ("vgg11", "resnet18")])
def test_factors_are_those_of_the_table(archs: tuple[str, str]) -> None:
    (against,) = api.compare(archs, SETUP).against
    macs = next(split for split in against.splits if split.quantity is Quantity.MACS).causes
    told = said(*archs)
    assert len(told) > 3
    for cause in (Cause.RESOLUTION, Cause.WIDTH, Cause.DEPTH, Cause.KERNEL_SIZE):
        assert f"multiplies the MACs by {macs[cause]:.2f}" in told[cause.said.capitalize()]


def test_the_other_way_round_more_is_less() -> None:
    there, back = said("alexnet", "vgg11"), said("vgg11", "alexnet")
    for cause, more, less in (
        ("Resolution", "vgg11 computes at more positions", "alexnet computes at fewer positions"),
        ("Depth", "vgg11 has more layers of the same kinds", "alexnet has fewer layers of the same kinds"),
        ("Kernel size", "vgg11 has smaller kernels", "alexnet has larger kernels"),
        ("Classifier", "vgg11 has more to do", "alexnet has less to do"),
    ):
        assert more in there[cause]
        assert less in back[cause]


def test_what_multiplies_one_quantity_up_and_another_down_is_both() -> None:
    """ResNet-18's wide layers do more of its work, and its narrow ones make more of its outputs."""
    (against,) = api.compare(["alexnet", "resnet18"], SETUP).against
    factors = {split.quantity: split.causes.get(Cause.WIDTH) for split in against.splits}
    macs, made = factors[Quantity.MACS], factors[Quantity.OUTPUT_BYTES]
    assert macs is not None
    assert made is not None
    assert made < 0.99
    assert macs > 1.01
    width = said("alexnet", "resnet18")["Width"]
    assert "resnet18 has both more and fewer channels" in width
    assert f"multiplies the MACs by {macs:.2f}, what is made by {made:.2f} and" in width


def test_nothing_is_said_of_what_does_not_differ() -> None:
    told = said("vgg11", "vgg11-lrn")
    assert list(told) == ["Other layers"]  # normalization, which has no MACs
    assert "has more layers of kinds that only one of the two has" in told["Other layers"]
    assert "MACs" not in told["Other layers"]
    assert not list(causes_in_words(api.compare(["vgg11", "vgg11@classes=1000"], SETUP)))
