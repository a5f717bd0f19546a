"""Every pair of shipped specs, at several batches: what adds up, and what is said of it."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from math import log, prod

import pytest

from vggprof.compare import Against, Alignment, Cause, Comparison, Profile, Quantity, compare, profile
from vggprof.compare.pair import MOST
from vggprof.network import from_spec
from vggprof.spec import find_shipped, read_spec, shipped_names
from vggprof.spec.editing import conv_stages
from vggprof.trace import Setup, Trace
from vggprof.trace.traces import Traces
from vggprof.tracing.loop import trace_network

BATCHES = (1, 7, 32)


@cache
def traces(name: str) -> Traces:
    """Return one training step of a shipped spec at any batch: two are traced, the others between them."""
    spec = read_spec(find_shipped(name))
    module = from_spec.build(spec)

    def at(batch: int) -> Trace:
        return trace_network(module, spec.input, Setup(batch=batch), arch=name, steps=1)

    return Traces(at)


@cache
def profiled(name: str, batch: int) -> Profile:
    return profile(traces(name)(batch))


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    """Return each pair, at batches and alignments that change from pair to pair."""
    found = []
    for number, (first, second) in enumerate(permutations(shipped_names(), 2)):
        batch = BATCHES[number % len(BATCHES)]
        align = (None, *Alignment)[number // len(BATCHES) % 3]
        found.append(compare([profiled(first, batch), profiled(second, batch)], align))
    return found


def pairs(comparisons: list[Comparison]) -> Iterator[tuple[Comparison, Against]]:
    for comparison in comparisons:
        (against,) = comparison.against
        yield comparison, against


def test_all_pairs_are_there(comparisons: list[Comparison]) -> None:
    assert len(comparisons) == len(shipped_names()) * (len(shipped_names()) - 1) >= 420


def test_ratios_are_split_exactly(comparisons: list[Comparison]) -> None:
    for comparison, against in pairs(comparisons):
        assert [split.quantity for split in against.splits] == [
            Quantity.MACS,
            Quantity.OUTPUT_BYTES,
            Quantity.SAVED_BYTES,
            Quantity.PEAK_ALLOCATED_BYTES,
        ]
        for split in against.splits:
            ratio = getattr(comparison.ratios[1], split.quantity.value)
            assert split.ratio == ratio
            assert abs(sum(part.value for part in split.parts) - log(ratio)) < 1e-9
            assert prod(split.causes.values()) == pytest.approx(ratio)
            assert prod(split.stages.values()) == pytest.approx(ratio)
            cells = [(part.cause, part.stage) for part in split.parts]
            assert len(set(cells)) == len(cells)


def test_differences_are_whole_and_sum_to_the_last_unit(comparisons: list[Comparison]) -> None:
    for comparison, against in pairs(comparisons):
        first, second = comparison.archs
        sums: Counter[str] = Counter()
        for difference in against.differences:
            assert isinstance(difference.value, int)
            sums[difference.quantity] += difference.value
        for quantity in (
            "params",
            "macs",
            "macs_backward",
            "output_bytes",
            "saved_bytes",
            "peak_allocated_bytes",
        ):
            assert sums[quantity] == getattr(second, quantity) - getattr(first, quantity)
        places = [(d.quantity, d.kind, d.first_layer, d.second_layer) for d in against.differences]
        assert len(set(places)) == len(places)


def test_every_layer_has_one_partner_at_most(comparisons: list[Comparison]) -> None:
    for _, against in pairs(comparisons):
        rows = [d for d in against.differences if (d.quantity, d.kind) == ("output_bytes", "outputs")]
        for layers in ([d.first_layer for d in rows], [d.second_layer for d in rows]):
            named = [layer for layer in layers if layer is not None]
            assert len(set(named)) == len(named)


def test_no_finding_contradicts_the_table(comparisons: list[Comparison]) -> None:
    for comparison, against in pairs(comparisons):
        _, ratios = comparison.ratios
        splits = {split.quantity: split for split in against.splits}
        found = {finding.id: finding for finding in against.findings}
        assert len(found) == len(against.findings)
        for finding in against.findings:
            assert finding.holds == (finding.value >= MOST if finding.belief else True), finding
            assert all(0 <= float(share) <= 100 for share in re.findall(r"(-?[\d.]+)%", finding.text)), (
                finding
            )
        for name, ratio in (
            ("macs_ratio", ratios.macs),
            ("params_ratio", ratios.params),
            ("peak_ratio", ratios.peak_allocated_bytes),
        ):
            assert found[name].value == ratio
            assert f" {ratio:.2f} x " in found[name].text
        if "macs_causes" in found:
            causes = splits[Quantity.MACS].causes
            upward = ratios.macs is not None and ratios.macs > 1
            assert found["macs_causes"].value == (max if upward else min)(causes.values())
            told = re.findall(r"(\d+\.\d\d) x", found["macs_causes"].text)[1:]
            assert sorted(told) == sorted(f"{f:.2f}" for f in causes.values() if abs(f - 1) >= 0.005)
        if "macs_where" in found:
            at: Counter[str | None] = Counter()
            for difference in against.differences:
                at[difference.stage] += difference.value if difference.quantity == "macs" else 0
            shares = {stage: value / sum(at.values()) for stage, value in at.items()}
            assert found["macs_where"].value == max(shares.values())
        if "belief_parameters" in found and found["belief_parameters"].holds:
            assert ratios.params is not None
            assert ratios.macs is not None
            assert (ratios.params > 1) == (ratios.macs > 1)
            assert max(ratios.params, 1 / ratios.params) ** 2 >= max(ratios.macs, 1 / ratios.macs) >= 1.05
        if "belief_depth" in found:
            split = splits[Quantity.MACS]
            depth = sum(part.value for part in split.parts if part.cause is Cause.DEPTH)
            sizes = {cause: abs(log(factor)) for cause, factor in split.causes.items()}
            along = max(0.0, depth if ratios.macs is not None and ratios.macs > 1 else -depth)
            assert found["belief_depth"].value == pytest.approx(along / sum(sizes.values()))
            if found["belief_depth"].holds:
                assert sizes[Cause.DEPTH] == max(sizes.values())


def test_the_way_back_is_the_inverse() -> None:
    for first, second in (("alexnet", "vgg11"), ("resnet50", "googlenet"), ("vgg13", "vgg16_bn")):
        one, other = profiled(first, 7), profiled(second, 7)
        (there,), (back,) = (compare(pair).against for pair in ([one, other], [other, one]))
        for split, inverse in zip(there.splits, back.splits, strict=True):
            for cause, factor in split.causes.items():
                assert factor * inverse.causes[cause] == pytest.approx(1)


@pytest.mark.parametrize("name", shipped_names())
def test_a_network_does_not_differ_from_itself(name: str) -> None:
    one = profiled(name, 1)
    (against,) = compare([one, one]).against
    assert all(split.ratio == 1 and not split.parts for split in against.splits)
    assert not any(difference.value for difference in against.differences)
    assert not {"macs_causes", "macs_where", "peak_cause", "belief_depth"} & {
        finding.id for finding in against.findings
    }


@pytest.mark.parametrize("name", shipped_names())
def test_edits_number_the_stages_as_the_layer_table_does(name: str) -> None:
    stages = {row.name: row.stage for row in profiled(name, 1).table.rows}
    numbered = conv_stages(read_spec(find_shipped(name)))
    assert numbered
    assert {layer: f"stage{number}" for layer, number in numbered.items()} == {
        layer: stages[layer] for layer in numbered
    }


def test_alexnet_against_vgg11() -> None:
    """The worked example of docs/attribution.md, and what issues from it."""
    (against,) = compare([profiled("alexnet", 1), profiled("vgg11", 1)]).against
    macs = against.splits[0]
    assert (macs.first, macs.second) == (714_188_480, 7_609_090_048)
    by_cause = {cause.value: round(log(factor), 4) for cause, factor in macs.causes.items()}
    assert by_cause == {
        "resolution": 1.5265,
        "width": 0.8392,
        "depth": 0.4392,
        "kernel_size": -0.4612,
        "classifier": 0.0223,
    }
    said = {finding.id: finding for finding in against.findings}
    assert said["macs_ratio"].value == pytest.approx(10.65, abs=0.005)
    assert said["params_ratio"].value == pytest.approx(2.17, abs=0.005)
    # 512 x 7 x 7 x 4096 weights and 4096 biases of 132,863,336.
    assert said["params_where"].value == (512 * 49 * 4096 + 4096) / 132_863_336
    assert said["params_where"].text.startswith("fc6 alone")
    assert [said[f"belief_{name}"].holds for name in ("parameters", "depth", "pooling")] == [False] * 3
    assert said["belief_classifier_memory"].holds


def test_the_classifier_dominates_memory_until_the_batch_does() -> None:
    def holds(batch: int) -> bool:
        (against,) = compare([profiled("alexnet", batch), profiled("vgg11", batch)]).against
        return next(f.holds for f in against.findings if f.id == "belief_classifier_memory")

    assert [holds(1), holds(64)] == [True, False]
