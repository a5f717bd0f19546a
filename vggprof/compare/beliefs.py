"""What is commonly believed of networks, held against the numbers of a pair: true or false, with figures."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from math import log

from vggprof.analyzers import CLASSIFIER, LayerRow
from vggprof.compare.attribution import Quantity
from vggprof.compare.causes import Cause
from vggprof.compare.pair import MOST, Finding, Pair, say_place
from vggprof.compare.profile import Profile


def beliefs(pair: Pair) -> Iterator[Finding]:
    """Yield the beliefs that the pair can be asked about."""
    if pair.work_differs:
        yield from _parameters(pair)
        yield from _depth(pair)
    yield from _pooling(pair)
    yield from _classifier(pair)


def _parameters(pair: Pair) -> Iterator[Finding]:
    params, (what, cost) = pair.by_scale(lambda row: row.params), _cost(pair)
    more_params, more_cost = sum(params.values()), sum(cost.values())
    if not more_params or not more_cost:
        return
    scale = max(params, key=lambda key: params[key] / more_params)
    share = cost[scale] / more_cost
    yield _belief(
        "belief_parameters",
        "more parameters make it slower",
        share,
        f"{params[scale] / more_params:.1%} of the difference in parameters is {say_place(scale)}, and "
        f"{share:.1%} of the difference in {what}.",
        "holds where the scale with most of the difference in parameters has at least half of that in time, "
        "or in MACs where no time is known",
    )


def _cost(pair: Pair) -> tuple[str, Mapping[str, float]]:
    """Return at each scale how much more the second network's layers cost, and in what that is."""
    times = [pair.first.times, pair.second.times]
    if None in times:
        return "MACs", pair.by_scale(lambda row: row.macs)
    more: defaultdict[str, float] = defaultdict(float)
    for profile, sign in ((pair.first, -1), (pair.second, 1)):
        said = profile.scales()
        for layer, ms in profile.layer_ms().items():
            more[said[layer]] += sign * ms
    return "the time of layers", more


def _depth(pair: Pair) -> Iterator[Finding]:
    split = pair.split(Quantity.MACS)
    assert split is not None
    had, has = (sum(row.macs > 0 for row in p.table.rows) for p in (pair.first, pair.second))
    factor = split.causes.get(Cause.DEPTH, 1.0)
    share = log(factor) / log(split.second / split.first) or 0.0
    yield _belief(
        "belief_depth",
        "more layers are why",
        share,
        f"{has} layers with weights at work against {had} make {factor:.2f} x of the "
        f"{split.second / split.first:.2f} x in MACs, {share:.1%} of the logarithm.",
        "holds where depth has at least half of the logarithm of the ratio of MACs",
    )


def _pooling(pair: Pair) -> Iterator[Finding]:
    rows = pair.second.table.rows
    pools = [row for row in rows if "pool" in row.op.lower()]
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
    return Finding(name, claim, share >= MOST, share, text, rule)


def _moved(row: LayerRow) -> int:
    return row.read_bytes + row.written_bytes
