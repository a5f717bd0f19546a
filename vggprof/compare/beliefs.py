"""What is commonly believed of networks, held against the numbers of a pair: true or false, with figures."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from math import log

from vggprof.analyzers import CLASSIFIER, LayerRow
from vggprof.compare.attribution import Quantity
from vggprof.compare.causes import Cause
from vggprof.compare.pair import MOST, NOTABLE, TOLD, Finding, Pair, say_place
from vggprof.compare.profile import Profile


def beliefs(pair: Pair) -> Iterator[Finding]:
    """Yield the beliefs that the pair can be asked about."""
    yield from _parameters(pair)
    yield from _depth(pair)
    yield from _pooling(pair)
    yield from _classifier(pair)


def _parameters(pair: Pair) -> Iterator[Finding]:
    """Yield whether the cost grows as the parameters do, and at the same scale of the input."""
    timed = pair.split(Quantity.STEP_MS) is not None
    split = pair.notable(Quantity.STEP_MS if timed else Quantity.MACS)
    params = _shares(pair.by_scale(lambda row: row.params))
    cost = _shares(_layer_ms(pair) if timed else pair.by_scale(lambda row: row.macs))
    had, has = (profile.table.totals.params for profile in (pair.first, pair.second))
    if split is None or not had or not has or not params or not cost:
        return
    ratio, what = split.second / split.first, "the time" if timed else "MACs"
    scale = max(params, key=lambda scale: params[scale])
    yield _belief(
        "belief_parameters",
        "more parameters make it slower",
        min(cost[scale], log(has / had) / log(ratio)),
        f"Parameters are {has / had:.2f} x, {what} {ratio:.2f} x. Of the difference in parameters "
        f"{_say_share(params[scale])} is {say_place(scale)}, and of that in {what}{' of layers' * timed} "
        f"{_say_share(cost[scale])}.",
        "the lesser of two: the share that the scale with most of the difference in parameters has of that "
        "in time (in MACs where no time is known); and the logarithm of the ratio of parameters over that of "
        f"times. Holds from one half; asked where times differ by {NOTABLE:.0%}",
    )


def _shares(more: Mapping[str, float]) -> Mapping[str, float]:
    """Return what each scale has of a difference; nothing where there is none."""
    whole = sum(more.values())
    return {scale: value / whole for scale, value in more.items()} if whole else {}


def _say_share(share: float) -> str:
    """Return a share of a difference for people, who know none below nothing or above all."""
    if share > 1:
        return "more than all" if share >= 1 + TOLD else "all"
    return f"{share:.1%}" if share > 0 else "nothing"


def _layer_ms(pair: Pair) -> Mapping[str, float]:
    """Return at each scale how much longer the second network's layers take."""
    more: defaultdict[str, float] = defaultdict(float)
    for profile, sign in ((pair.first, -1), (pair.second, 1)):
        said = profile.scales()
        for layer, ms in profile.layer_ms().items():
            more[said[layer]] += sign * ms
    return more


def _depth(pair: Pair) -> Iterator[Finding]:
    split = pair.notable(Quantity.MACS)
    had, has = (sum(row.macs > 0 for row in p.table.rows) for p in (pair.first, pair.second))
    if split is None or had == has:
        return
    ratio, factor = split.second / split.first, split.causes.get(Cause.DEPTH, 1.0)
    along = max(0.0, log(factor) if ratio > 1 else -log(factor))
    share = along / sum(abs(log(each)) for each in split.causes.values())
    yield _belief(
        "belief_depth",
        "more layers are why",
        share,
        f"{has} layers with MACs against {had} make the MACs {factor:.2f} x; all causes together make them "
        f"{ratio:.2f} x. Of all that causes multiply or divide by, in logarithms, that is {share:.1%}.",
        "the logarithm of what depth makes of the MACs, over those of all causes, up or down; 0 where depth "
        "works against the ratio. Holds from one half, so that no other cause is larger; asked where the "
        f"numbers of layers differ, and MACs by {NOTABLE:.0%}",
    )


def _pooling(pair: Pair) -> Iterator[Finding]:
    rows = pair.second.table.rows
    pools = [row for row in rows if "pool" in row.op.lower() and not row.macs]
    moved = sum(map(_moved, rows))
    if not pools or not moved:
        return
    moves = sum(map(_moved, pools)) / moved
    held = _share_of_peak(pair, {row.name for row in pools})
    takes = _share_of_step(pair.second, {row.name for row in pools})
    yield _belief(
        "belief_pooling",
        "pooling is what costs",
        moves if takes is None else takes,
        f"Pooling does none of the MACs of {pair.second.table.arch}, moves {moves:.1%} of the bytes of its "
        f"forward pass, and holds {held:.1%} of the peak"
        f"{'' if takes is None else f'; it takes {takes:.1%} of the time of a step'}.",
        "holds where pooling takes at least half of a step; where no time is known, where it moves half of "
        "the bytes of the forward pass",
    )


def _classifier(pair: Pair) -> Iterator[Finding]:
    share = _share_of_peak(pair, {row.name for row in pair.second.table.rows if row.stage == CLASSIFIER})
    if not share:
        return
    yield _belief(
        "belief_classifier_memory",
        "the classifier dominates memory",
        share,
        f"The classifier of {pair.second.table.arch} holds {share:.1%} of its peak at batch "
        f"{pair.second.table.setup.batch}.",
        "holds where all that the classifier's layers hold is at least half of the peak",
    )


def _share_of_peak(pair: Pair, layers: Set[str]) -> float:
    shares = pair.second.shares
    whole = sum(share.nbytes for share in shares)
    return sum(share.nbytes for share in shares if share.layer in layers) / whole if whole else 0.0


def _share_of_step(profile: Profile, layers: Set[str]) -> float | None:
    if profile.times is None:
        return None
    return sum(ms for layer, ms in profile.layer_ms().items() if layer in layers) / profile.times.step_ms


def _belief(name: str, claim: str, share: float, text: str, rule: str) -> Finding:
    return Finding(name, claim, share >= MOST, share or 0.0, text, rule)


def _moved(row: LayerRow) -> int:
    return row.read_bytes + row.written_bytes
