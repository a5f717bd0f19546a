"""What the numbers of a pair say, most important first; a claim that does not hold for it is not made."""

from collections.abc import Callable, Iterator
from itertools import accumulate

from vggprof.compare.attribution import Quantity, Split
from vggprof.compare.beliefs import beliefs
from vggprof.compare.causes import STATE, Cause
from vggprof.compare.pair import MOST, TOLD, Finding, Pair, say_names, say_place, scale_sums
from vggprof.compare.profile import Profile
from vggprof.units import format_bytes, format_count


def findings(first: Profile, second: Profile, splits: tuple[Split, ...]) -> tuple[Finding, ...]:
    """Return what is to be said of *second* against *first*, then which common beliefs hold for them."""
    pair = Pair(first, second, splits)
    return tuple(finding for make in (*_STATEMENTS, beliefs) for finding in make(pair))


def _statement(name: str, claim: str, value: float, text: str, *, rule: str) -> Finding:
    return Finding(name, claim, True, value, text, rule)


def _macs(pair: Pair) -> Iterator[Finding]:
    split = pair.split(Quantity.MACS)
    if split is None:
        return
    a, b = pair.names
    ratio = split.second / split.first
    yield _statement(
        "macs_ratio",
        "how much work one forward pass is",
        ratio,
        f"{b} does {ratio:.2f} x the MACs of {a} in a forward pass: "
        f"{_both(format_count(int(split.second)), format_count(int(split.first)))}.",
        rule="where both have MACs",
    )
    yield from _made_of("macs_causes", "MACs", split)


def _made_of(name: str, what: str, split: Split) -> Iterator[Finding]:
    """Say the causes of a ratio, what drives it first, what works against it last."""
    ratio, upward = split.second / split.first, split.second > split.first
    told = [(c, f) for c, f in split.causes.items() if abs(f - 1) >= TOLD]
    told.sort(key=lambda cause: cause[1], reverse=upward)
    if not told or abs(ratio - 1) < TOLD:
        return
    said = say_names([f"{cause.said} {factor:.2f} x" for cause, factor in told])
    main, factor = told[0]
    yield _statement(
        name,
        f"{main.said} {'raises' if upward else 'lowers'} the {what} most",
        factor,
        f"What makes the {what} {ratio:.2f} x: {said}.",
        rule="the largest factor in the direction of the ratio; factors, and ratios, within "
        f"{TOLD} of 1 are not told",
    )


def _time(pair: Pair) -> Iterator[Finding]:
    split = pair.split(Quantity.STEP_MS)
    if split is None:
        return
    a, b = pair.names
    ratio = split.second / split.first
    yield _statement(
        "time_ratio",
        "how long a step takes",
        ratio,
        f"A step of {b} takes {ratio:.2f} x as long as one of {a}: "
        f"{_both(f'{split.second:.2f} ms', f'{split.first:.2f} ms')}.",
        rule="where both times are known",
    )
    yield from _made_of("time_causes", "time", split)


def _where(pair: Pair) -> Iterator[Finding]:
    a, b = pair.names
    more = pair.by_scale(lambda row: row.macs)
    difference = sum(more.values())
    if difference:
        scale = max(more, key=lambda key: more[key] / difference)
        part = _part(difference, more[scale], _say_macs, say_place(scale), rest="elsewhere")
        yield _statement(
            "macs_where",
            f"the largest part of the difference in MACs is {say_place(scale)}",
            more[scale] / difference,
            f"{b} does {_more(difference, _say_macs)} than {a}: {part}.",
            rule="the scale of the input with the largest share of the difference",
        )


def _params(pair: Pair) -> Iterator[Finding]:
    a, b = pair.names
    had, has = (profile.table.totals.params for profile in (pair.first, pair.second))
    if had and has:
        yield _statement(
            "params_ratio",
            "how many parameters there are",
            has / had,
            f"{b} has {has / had:.2f} x the parameters of {a}: {_both(f'{has:,}', f'{had:,}')}.",
            rule="where both have parameters",
        )
    layer = pair.second.table.biggest.params
    if layer is not None and layer.params > MOST * has:
        yield _statement(
            "params_where",
            f"one layer holds most of the parameters of {b}",
            layer.params / has,
            f"{layer.name} alone holds {layer.params / has:.1%} of the parameters of {b}: {layer.params:,}.",
            rule="where one layer has more than half",
        )


def _activations(pair: Pair) -> Iterator[Finding]:
    b = pair.second.table.arch
    training = pair.second.table.setup.training
    sums = scale_sums(pair.second, lambda row: row.saved_bytes if training else row.output_bytes)
    whole, largest = sum(sums.values()), sums.most_common()
    if not whole:
        return
    running = list(accumulate(nbytes for _, nbytes in largest))
    count = next(n for n, nbytes in enumerate(running, start=1) if nbytes > MOST * whole)
    places = say_names([say_place(scale) for scale, _ in largest[:count]])
    share = running[count - 1] / whole
    what = "saves for backward" if training else "makes as outputs"
    yield _statement(
        "activations_where",
        f"where the activations of {b} are",
        share,
        f"{share:.1%} of what {b} {what} is {places}: "
        f"{format_bytes(running[count - 1])} of {format_bytes(whole)}.",
        rule="the fewest scales of the input that together hold more than half",
    )


def _peak(pair: Pair) -> Iterator[Finding]:
    a, b = pair.names
    split = pair.split(Quantity.PEAK_RESERVED_BYTES) or pair.split(Quantity.PEAK_ALLOCATED_BYTES)
    if split is None:
        return
    holds = "reserves" if split.quantity is Quantity.PEAK_RESERVED_BYTES else "holds"
    ratio = split.second / split.first
    yield _statement(
        "peak_ratio",
        "how much memory is held at the peak",
        ratio,
        f"At its peak {b} {holds} {ratio:.2f} x the memory of {a}: "
        f"{_both(format_bytes(int(split.second)), format_bytes(int(split.first)))}.",
        rule="of what is reserved on the card; of tensors alone where there is none",
    )
    difference = int(split.second - split.first)
    if difference:
        more = {name: _held(pair, causes) for name, causes in GROUPS.items()}
        name = max(more, key=lambda key: more[key] / difference)
        part = _part(difference, more[name], format_bytes, f"of {name}", rest="of all else")
        yield _statement(
            "peak_cause",
            f"the peaks differ most in {name}",
            more[name] / difference,
            f"At its peak {b} {holds} {_more(difference, format_bytes)} than {a}: {part}.",
            rule="the group of kinds with the largest share of the difference",
        )


def _held(pair: Pair, causes: tuple[Cause, ...]) -> int:
    """Return how much more of *causes* the second network holds."""
    had, has = (sum(s.nbytes for s in p.shares if s.cause in causes) for p in (pair.first, pair.second))
    return has - had


def _largest_batch(pair: Pair) -> Iterator[Finding]:
    a, b = pair.names
    had, has = (None if p.card is None else p.card.largest_batch for p in (pair.first, pair.second))
    if had and has:
        yield _statement(
            "largest_batch",
            "how large a batch can be",
            has / had,
            f"The largest batch that fits is {has:,} with {b}, and {had:,} with {a}: {has / had:.2f} x.",
            rule="where both are known and at least 1",
        )


def _say_macs(n: int) -> str:
    return f"{format_count(n)} MACs"


def _more(difference: int, say: Callable[[int], str]) -> str:
    """Return ``2.70 G MACs more``, ``2.30 MiB less``."""
    return f"{say(abs(difference))} {'more' if difference > 0 else 'less'}"


def _part(difference: int, part: int, say: Callable[[int], str], where: str, *, rest: str) -> str:
    """Say the *part* of a difference that is *where*; if that is more than all, also what is elsewhere."""
    told = f"{_more(part, say)} {where}"
    if part / difference > 1:
        return f"{told} and {_more(difference - part, say)} {rest}"
    return f"{told}, {part / difference:.1%} of it"


def _both(second: str, first: str) -> str:
    """Return ``2 ms against 1 ms``, and one of them where they read the same."""
    return second if second == first else f"{second} against {first}"


# What the peak is made of, in words; each cause that is held is in one of them.
GROUPS: dict[str, tuple[Cause, ...]] = {
    "state that no batch changes (weights, gradients, optimizer)": STATE,
    "saved activations": (Cause.SAVED_ACTIVATIONS,),
    "activations that are not saved": (Cause.PASSING_ACTIVATIONS,),
    "pooling indices": (Cause.POOLING_INDICES,),
    "the input": (Cause.INPUT,),
    "temporaries": (Cause.TEMPORARIES,),
    "workspaces": (Cause.WORKSPACES,),
    "slack": (Cause.SLACK,),
    "what is reserved but not allocated (fragmentation)": (Cause.FRAGMENTATION,),
}
_STATEMENTS: tuple[Callable[[Pair], Iterator[Finding]], ...] = (
    _time,
    _macs,
    _where,
    _params,
    _activations,
    _peak,
    _largest_batch,
)
