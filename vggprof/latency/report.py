"""The answer of the latency prediction: each card, what would change it, and what it all rests on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vggprof.devices import Device
from vggprof.latency.curve import Curve
from vggprof.latency.factors import Factor
from vggprof.latency.interval import LARGE_BATCH, Interval
from vggprof.latency.predict import Latency, Stopwatch
from vggprof.latency.refinement import Refinement
from vggprof.measurement import Execution
from vggprof.memory.forecast import Software
from vggprof.trace import Amp, Layout, Setup, Trace

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Change:
    """Something else that could be done, and what it gains."""

    what: str  # "channels_last", "fp16", "bf16", "graph", "batch 64"
    latency: Latency
    gain: float  # images a second against now


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over a data set, the last batch whole; the time of reading images is in no part of it."""

    images: int
    steps: int
    hours: Interval


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """How long a step of a network takes, on one card or several."""

    arch: str
    setup: Setup
    software: Software
    execution: Execution
    cards: tuple[Latency, ...]
    changes: tuple[Change, ...]  # best first; empty where there are several cards or nobody asked
    epoch: Epoch | None  # of the one card
    curve: Curve | None
    assumptions: tuple[str, ...]

    @property
    def single(self) -> Latency | None:
        """The card where there is one; None for a ladder of several."""
        return self.cards[0] if len(self.cards) == 1 else None


def epoch_of(latency: Latency, images: int) -> Epoch:
    """Return what a pass over *images* takes."""
    steps = -(-images // latency.images)
    step = latency.step
    hours = (steps * end / _HOUR_MS for end in (step.low, step.likely, step.high))
    return Epoch(images, steps, Interval(*hours))


def changes_of(
    now: Latency,
    watch: Stopwatch,
    other: Callable[[Execution], Stopwatch],
    retraced: Callable[[Setup], Trace] | None,
    setup: Setup,
) -> tuple[Change, ...]:
    """Return what each change gains on the card of *now*, the best first.

    *other* predicts another execution; changes of the setup are tried only with *retraced*.
    """
    found = [("batch " + str(2 * now.batch), watch.predict(2 * now.batch, now.device))]
    if now.execution is Execution.EAGER:
        found.append(("graph", other(Execution.GRAPH).predict(now.batch, now.device)))
    if retraced is not None:
        found += [
            (name, watch.of_trace(retraced(changed), now.device))
            for name, changed in _setups(setup, now.device)
        ]
    made = [Change(name, new, new.images_per_s / now.images_per_s) for name, new in found]
    return tuple(sorted(made, key=lambda change: -change.gain))


def _setups(setup: Setup, device: Device) -> Iterator[tuple[str, Setup]]:
    """Yield other setups that compute the same, or nearly."""
    if setup.layout is Layout.CONTIGUOUS:
        yield "channels_last", replace(setup, layout=Layout.CHANNELS_LAST)
    if setup.amp is Amp.OFF and setup.dtype.value == "fp32":
        yield "fp16", replace(setup, amp=Amp.FP16)
        if device.capability >= (8, 0):
            yield "bf16", replace(setup, amp=Amp.BF16)
        if setup.layout is Layout.CONTIGUOUS:
            yield "fp16 and channels_last", replace(setup, amp=Amp.FP16, layout=Layout.CHANNELS_LAST)


def assumptions(
    setup: Setup, software: Software, execution: Execution, cards: Sequence[Latency]
) -> tuple[str, ...]:
    """Return what a prediction takes for granted and leaves out."""
    return tuple(_assumed(setup, software, execution, cards))


def _assumed(
    setup: Setup, software: Software, execution: Execution, cards: Sequence[Latency]
) -> Iterator[str]:
    yield (
        "Prices are fitted to published times of VGG, ResNet and AlexNet on NVIDIA GPUs from Kepler to "
        "Ampere; 80 of 100 such times lie within the intervals, and docs/latency.md has the errors."
    )
    yield "The batch is on the GPU when the step begins; reading and copying images is not in the time."
    if setup.training:
        yield "Forward is with the loss. The step ends when the GPU has done the optimizer's work."
    if execution is Execution.EAGER:
        yield (
            "Eager mode: the host launches one operator after another, as fast as the hosts of the fitted "
            "times did."
        )
    else:
        yield "A CUDA graph of the whole step: the host is never behind."
    yield from _algorithms(software, cards)
    if any(latency.batch < LARGE_BATCH for latency in cards):
        yield (
            f"Below batch {LARGE_BATCH} steps are made of short kernels, of which less is known: the "
            "interval is wider."
        )
    for latency in cards:
        if latency.refined is not None:
            yield _refined(latency, latency.refined)
        if not latency.measured:
            generation = f"{latency.device.name} ({latency.device.architecture})"
            yield (
                f"{generation}: nothing of its generation was measured; it takes the shares of the others, "
                "with a wider interval."
            )


# What each factor is of, after "As a multiple of its generation's: ".
_FACTORS: Final = {
    Factor.LANES: "arithmetic on fp32 lanes",
    Factor.TENSOR: "arithmetic on tensor cores",
    Factor.TRAFFIC: "what the memory bounds",
    Factor.LAUNCH: "a launch",
    Factor.HOST: "an operator on the host",
}


def _refined(latency: Latency, refinement: Refinement) -> str:
    """Say what was measured on the GPU of *latency*, and what came of it."""
    factors = ", ".join(f"{_FACTORS[name]} {value:.2f}" for name, value in refinement.factors.items())
    return (
        f"{latency.device.name}: times are drawn to those measured on such a GPU "
        f"({'; '.join(refinement.sources)}). As a multiple of its generation's: {factors}. The interval of "
        f"the step is a factor of {latency.step.high / latency.step.likely:.2f} up and down."
    )


def _algorithms(software: Software, cards: Sequence[Latency]) -> Iterator[str]:
    if any(latency.named for latency in cards) and software.cudnn.library is not None:
        yield f"Algorithms of convolutions are those that cuDNN {software.cudnn.library.version} names."
    if software.settings.benchmark:
        yield "cudnn.benchmark is on: of the algorithms that there are, the quickest by our prices runs."
    elif any(latency.ruled for latency in cards):
        names = ", ".join(latency.device.name for latency in cards if latency.ruled)
        yield f"{names}: cuDNN did not name every algorithm; there the quickest by our prices runs."
    tf32 = "allowed" if software.settings.allow_tf32 else "not allowed"
    yield f"TF32 in convolutions {tf32}; in matrix products not."
