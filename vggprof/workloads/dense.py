"""Dense evaluation over test scales, beside many crops: what the VGG paper does to classify one image.

Sections 3.2 and 4.3: the network, turned fully convolutional, is run on the whole image, rescaled so that its
smaller side is Q, and its scores are averaged over the map, over the image and its mirror image, and over
several Q. Or 50 crops a scale (a 5x5 grid and its mirror images) go through the network as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from typing import Protocol, Self, TypeAlias, TypeVar

from vggprof.analyzers import LayerTable
from vggprof.errors import UsageError
from vggprof.memory.report import CardReport, MemoryReport
from vggprof.spec.arch import edited, parse_arch
from vggprof.trace import Setup, Shape
from vggprof.workloads.published import METHODS, MULTIPLE, SINGLE, PublishedError, config_of, errors_of

SCALES = (256, 384, 512)  # Tables 4 and 5, for networks that take 224 pixels (Section 2.1)
INPUT_PIXELS = 224
CROPS = 50  # a scale, 5 x 5 x 2
MAX_SCALES = 32

Layers: TypeAlias = Callable[[str, Setup], LayerTable]
Memory: TypeAlias = Callable[[str, Setup], MemoryReport]


class Way(StrEnum):
    """How an image is evaluated."""

    DENSE = "dense"
    CROPS = "multi-crop"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One way to evaluate an image, scale after scale; an image and its mirror image share a batch."""

    way: Way
    scales: tuple[int, ...]
    mirrored: bool
    crops: int | None  # of one image, mirrored ones too
    score_maps: tuple[tuple[int, int], ...]  # one a scale; empty for crops
    images: int  # in one batch: images, mirror images, crops
    macs: int  # for one image, all scales
    peak_bytes: int  # of tensors alone
    cards: tuple[CardReport, ...]  # of the scale that takes most

    @property
    def card(self) -> CardReport | None:
        """The card where there is one; None for a ladder of several."""
        return self.cards[0] if len(self.cards) == 1 else None


@dataclass(frozen=True, slots=True)
class DenseReport:
    """Ways to evaluate a network, and the errors that were published of them."""

    arch: str
    setup: Setup
    evaluations: tuple[Evaluation, ...]
    errors: tuple[PublishedError, ...]
    assumptions: tuple[str, ...]


def dense_report(
    arch: str, scales: Sequence[int] | None, setup: Setup, *, layers: Layers, memory: Memory
) -> DenseReport:
    """Return what evaluating *arch* takes at each of *scales* and at all together, in batches of *setup*.

    Without *scales* they are the paper's, in the proportion that its network's input has to the paper's.
    Raises UsageError for a network that cannot be made fully convolutional, and for scales below its input.
    """
    named = parse_arch(arch)
    edited(named, "dense")  # refuses a factory before its code runs
    plain = layers(arch, setup)
    own = plain.rows[0].input_shapes[0][2:]
    notes = _scaled_note(max(own)) if scales is None else ()
    scales = scales_for(max(own)) if scales is None else scales
    _check(arch, scales, max(own))

    def dense(scale: int, *, mirrored: bool) -> Evaluation:
        net = str(edited(named, "dense" if own == (scale, scale) else f"dense; input {scale}"))
        pair = replace(setup, batch=setup.batch * (2 if mirrored else 1))
        return _dense(scale, layers(net, pair), memory(net, pair), mirrored=mirrored)

    report = memory(arch, replace(setup, batch=setup.batch * CROPS))
    crops = [_crops(scale, plain, report) for scale in scales]
    made = (
        *_and_together([dense(scale, mirrored=False) for scale in scales]),
        *_and_together([dense(scale, mirrored=True) for scale in scales]),
        *_and_together(crops)[:: len(scales)],  # every scale's crops are alike
    )
    return DenseReport(arch, setup, made, _errors(arch, tuple(scales)), (*notes, *report.assumptions))


def scales_for(pixels: int) -> tuple[int, ...]:
    """Return the paper's test scales in proportion to an input of *pixels* a side: 32, 48 and 64 of 28."""
    return tuple(round(scale * pixels / INPUT_PIXELS) for scale in SCALES)


def _scaled_note(pixels: int) -> tuple[str, ...]:
    if pixels == INPUT_PIXELS:
        return ()
    asked, paper = (" ".join(map(str, scales)) for scales in (scales_for(pixels), SCALES))
    return (
        f"Test scales are {asked}: to an input of {pixels} pixels what the paper's {paper} are to its "
        f"{INPUT_PIXELS}.",
    )


def _check(arch: str, scales: Sequence[int], least: int) -> None:
    if not 1 <= len(scales) <= MAX_SCALES or len(set(scales)) < len(scales):
        raise UsageError(f"1 to {MAX_SCALES} different test scales are wanted, as in 256,384,512")
    if min(scales) < least:
        raise UsageError(f"test scale {min(scales)} is smaller than the input of {arch}, {least} pixels")


def _dense(scale: int, table: LayerTable, report: MemoryReport, *, mirrored: bool) -> Evaluation:
    height, width = table.rows[-2].input_shapes[0][2:]  # what is averaged, before the last flatten
    images = table.setup.batch
    return Evaluation(
        way=Way.DENSE,
        scales=(scale,),
        mirrored=mirrored,
        crops=None,
        score_maps=((height, width),),
        images=images,
        macs=table.totals.macs // images * (2 if mirrored else 1),
        peak_bytes=report.tensors.peak.allocated_bytes,
        cards=report.cards,
    )


def _crops(scale: int, table: LayerTable, report: MemoryReport) -> Evaluation:
    """Return the evaluation of one scale's crops, which go through the network as one batch."""
    return Evaluation(
        way=Way.CROPS,
        scales=(scale,),
        mirrored=True,
        crops=CROPS,
        score_maps=(),
        images=report.setup.batch,
        macs=table.totals.macs // table.setup.batch * CROPS,
        peak_bytes=report.tensors.peak.allocated_bytes,
        cards=report.cards,
    )


def _and_together(each: list[Evaluation]) -> list[Evaluation]:
    return each if len(each) == 1 else [*each, _together(each)]


def _together(each: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluation that averages over *each*, one scale after the other.

    Only scores are kept in between, and what the allocator keeps of one scale it gives back where the next
    one is short, so that all need as much as the one that takes most.
    """
    most = max(each, key=lambda one: max(card.prediction.process.high for card in one.cards))
    return replace(
        most,
        scales=tuple(scale for one in each for scale in one.scales),
        crops=None if most.crops is None else most.crops * len(each),
        score_maps=tuple(size for one in each for size in one.score_maps),
        macs=sum(one.macs for one in each),
        peak_bytes=max(one.peak_bytes for one in each),
    )


def _errors(arch: str, scales: tuple[int, ...]) -> tuple[PublishedError, ...]:
    """Return what was published of *arch* at these scales, or at one of them."""
    found = errors_of(config_of(arch), tables=(SINGLE, MULTIPLE, METHODS))
    fitting = {scales, *((scale,) for scale in scales)}
    return tuple(error for error in found if error.test_scales in fitting)


class Reshapable(Protocol):
    """A tensor, as far as it matters here."""

    @property
    def shape(self) -> Shape:
        """Its extents; torch.Size is a tuple."""

    def reshape(self, shape: Shape, /) -> Self:
        """Return the same numbers in another shape."""


T = TypeVar("T", bound=Reshapable)


def dense_weights(plain: Mapping[str, T], dense: Mapping[str, T]) -> dict[str, T]:
    """Return the state dict *plain* of a network in the shapes of *dense*, the state of its dense form.

    A linear layer's weight is the convolution's, read as (out, channels, height, width), for flatten puts
    pixels in that order. Raises UsageError that names every tensor that does not fit.
    """
    wrong = [f"no {name}" for name in dense if name not in plain]
    wrong += [f"{name}, which the dense network has not" for name in plain if name not in dense]
    wrong += [
        f"{name} with {prod(plain[name].shape):,} numbers, not {prod(tensor.shape):,}"
        for name, tensor in dense.items()
        if name in plain and prod(plain[name].shape) != prod(tensor.shape)
    ]
    if wrong:
        raise UsageError(f"the state does not fit: it has {'; '.join(wrong)}")
    return {name: plain[name].reshape(tuple(tensor.shape)) for name, tensor in dense.items()}
