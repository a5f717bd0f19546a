"""The fit's arrays price as the package does, its derivatives are right, and its page is of these data."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

np = pytest.importorskip("numpy")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "latency.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """Return the modules of the fit by name."""
    rooms = ("rows", "kernels", "fit", "parameters", "model", "layers")
    names = [f"latency_{room}" for room in rooms]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
        yield {name: import_module(name) for name in names}


def some_kernels(scripts: dict[str, ModuleType]) -> list[Any]:
    return list(scripts["latency_kernels"].kernels())[::120]


def alexnet(scripts: dict[str, ModuleType]) -> Any:  # noqa: ANN401 - of a module that is found at run time
    """A network with a host that is often behind."""
    return scripts["latency_rows"].Row(
        arch="alexnet-2012",
        input=227,
        batch=2,
        mode="train",
        dtype="fp32",
        layout="contiguous",
        framework="torch7",
        version="",
        cudnn="7605",
        gpu="TITAN V",
        ms=10.0,
        copied=False,
        excluded="",
    )


@pytest.mark.parametrize(
    ("cudnn", "framework", "lacking"),
    [
        ("R4", "torch7", {"winograd", "winograd_4"}),
        ("R4", "caffe", {"winograd", "winograd_4", "fft"}),
        ("5.0.05", "torch7", {"winograd_4"}),
        ("5.1.05", "torch7", set()),
        ("", "torch7", set()),
    ],
)
def test_rows_have_the_ways_that_their_cudnn_had(
    scripts: dict[str, ModuleType], cudnn: str, framework: str, lacking: set[str]
) -> None:
    row = replace(alexnet(scripts), cudnn=cudnn, framework=framework, mode="forward")
    ways = {
        way.math.value for work in scripts["latency_rows"].work_of(row)[1] for way in work.ways if way.math
    }
    assert ways == {"direct", "winograd", "winograd_4", "fft", "product"} - lacking


def test_half_precision_off_tensor_cores_had_the_product_alone_in_cudnn_7_6(
    scripts: dict[str, ModuleType],
) -> None:
    row = replace(alexnet(scripts), gpu="TITAN Xp", dtype="fp16", mode="forward")
    for cudnn, count in (("7605", 1), ("6.0", 4)):
        works = scripts["latency_rows"].work_of(replace(row, cudnn=cudnn))[1]
        assert max(len(work.ways) for work in works) >= count
        assert (max(len(work.ways) for work in works) == 1) is (cudnn == "7605")


def test_only_torch_writes_the_indices_of_a_pool(scripts: dict[str, ModuleType]) -> None:
    row = replace(alexnet(scripts), mode="forward")
    of = {name: pooled_bytes(scripts, replace(row, framework=name)) for name in ("torch7", "pytorch")}
    # Three pools of 2 x (96 x 27 x 27, 256 x 13 x 13 and 256 x 6 x 6) numbers out; an index takes 8 bytes.
    numbers = 2 * (96 * 27 * 27 + 256 * 13 * 13 + 256 * 6 * 6)
    assert of["pytorch"] - of["torch7"] == 8 * numbers


def pooled_bytes(scripts: dict[str, ModuleType], row: Any) -> int:  # noqa: ANN401 - see alexnet
    works = scripts["latency_rows"].work_of(row)[1]
    return sum(work.ways[0].nbytes for work in works if work.ways[0].traffic.value == "pool")


def test_a_batch_takes_half_as_long_over_a_link_of_the_fourth_generation(
    scripts: dict[str, ModuleType],
) -> None:
    row = replace(alexnet(scripts), copied=True)
    assert row.copied_bytes == 2 * 3 * 227 * 227 * 4
    assert replace(row, gpu="A100 SXM4 40GB").copied_bytes == row.copied_bytes // 2


def coefficients_of(scripts: dict[str, ModuleType], x: Any, model: Any) -> Any:  # noqa: ANN401 - see alexnet
    from vggprof.latency.coefficients import Spread  # noqa: PLC0415

    over_boost = model.over_boost(x, np.ones(len(model.seconds), bool))
    return scripts["latency_parameters"].as_coefficients(x, model.slots, over_boost, Spread(1, 1, 1))


def test_arrays_price_kernels_as_the_package_does(scripts: dict[str, ModuleType]) -> None:
    from vggprof.devices import find_device  # noqa: PLC0415
    from vggprof.latency.pricing import Pricer  # noqa: PLC0415

    table = scripts["latency_fit"].Table()
    kernels = some_kernels(scripts)
    for kernel in kernels:
        table.kernel(kernel)
    model = scripts["latency_model"].Model(table)
    x = model.centre + np.random.default_rng(1).normal(0, 0.3, model.size)
    machine = model.slots["machine"]
    x[machine.start : machine.stop] = 0
    fitted = coefficients_of(scripts, x, model)
    expected = [Pricer(find_device(k.gpu), fitted).price(k.work).total_s for k in kernels]
    assert model.predict(x) == pytest.approx(expected, rel=1e-6)


def test_arrays_queue_kernels_as_the_package_does(scripts: dict[str, ModuleType]) -> None:
    from vggprof.latency.host import run_queue  # noqa: PLC0415
    from vggprof.latency.pricing import Pricer  # noqa: PLC0415

    row, table = alexnet(scripts), scripts["latency_fit"].Table()
    table.net(row)
    model = scripts["latency_model"].Model(table)
    for host_us in (1.0, 40.0, 400.0):
        x = model.centre.copy()
        x[model.host_of] = np.log(host_us * 1e-6)
        fitted = coefficients_of(scripts, x, model)
        trace, works = scripts["latency_rows"].work_of(row)
        prices: dict[int, tuple[Any, ...]] = {}
        for work in works:
            price = Pricer(row.device, fitted).price(work)
            prices[work.operator] = (*prices.get(work.operator, ()), price)
        last = trace.steps - 1
        numbered = [
            (i, op) for i, op in enumerate(trace.operators) if op.step == last and op.phase in row.phases
        ]
        total = run_queue(numbered, prices, host_s=host_us * 1e-6).total_s
        assert model.predict(x)[0] == pytest.approx(total, rel=0.01)


def test_derivatives_are_those_of_the_prices(scripts: dict[str, ModuleType]) -> None:
    table = scripts["latency_fit"].Table()
    for kernel in some_kernels(scripts):
        table.kernel(kernel)
    table.net(alexnet(scripts))
    model = scripts["latency_model"].Model(table)
    x = model.centre + np.random.default_rng(2).normal(0, 0.2, model.size)
    gradient = model._gradient(model._priced(x))
    step = 1e-6
    for at in range(0, model.size, 7):
        moved = x.copy()
        moved[at] += step
        slope = (np.log(model.predict(moved)) - np.log(model.predict(x))) / step
        assert gradient[:, at] == pytest.approx(slope, abs=1e-3)


def test_a_machine_takes_its_own_factor_of_what_the_gpu_does(scripts: dict[str, ModuleType]) -> None:
    table = scripts["latency_fit"].Table()
    kernels = [kernel for kernel in some_kernels(scripts) if not kernel.launched]
    table.net(alexnet(scripts))
    for kernel in kernels:
        table.kernel(kernel)
    model = scripts["latency_model"].Model(table)
    machine, launch = model.slots["machine"], model.slots["launch"].start
    assert machine.stop - machine.start == len({kernel.gpu for kernel in kernels})
    x = model.centre.copy()
    x[launch] = -50.0  # no time at all
    plain = model.predict(x)
    x[machine.start] = np.log(1.25)
    first = min(kernel.gpu for kernel in kernels)
    # Networks, the first row, have none.
    expected = [1.0, *(1.25 if kernel.gpu == first else 1.0 for kernel in kernels)]
    assert model.predict(x) / plain == pytest.approx(expected)
    x[machine.start : machine.stop] = 1.0
    assert model.predict(x)[0] == plain[0]


def test_groups_ran_one_after_another_where_torch7_did(scripts: dict[str, ModuleType]) -> None:
    row, work_of = replace(alexnet(scripts), cudnn="5.1.05"), scripts["latency_rows"].work_of
    convs: dict[str, list[Any]] = {}
    for name in ("torch7", "pytorch"):
        trace, works = work_of(replace(row, framework=name))
        convs[name] = [
            (trace.layers[work.layer].name, work)
            for work in works
            if any(way.math and way.math.value == "direct" for way in work.ways)
        ]
    # conv2, conv4 and conv5 have two groups; backward there are two passes each.
    count = {
        name: [layer for layer, _ in convs["torch7"]].count(name) for name in ("conv2", "conv3", "conv5")
    }
    assert count == {"conv2": 6, "conv3": 3, "conv5": 6}
    sums = [sum(way.product.macs for _, w in found for way in w.ways[:1]) for found in convs.values()]
    assert sums[0] == sums[1] == sum(work.macs for _, work in convs["torch7"])
    for layer, work in convs["torch7"]:
        alone = {way.math.value for way in work.ways} == {"direct"}
        assert alone == (layer in ("conv1", "conv2", "conv4", "conv5"))
        assert all(way.product.count == 1 for way in work.ways if way.math.value == "direct")


def test_a_search_from_elsewhere_is_taken_where_it_ends_lower(scripts: dict[str, ModuleType]) -> None:
    table = scripts["latency_fit"].Table()
    for kernel in list(scripts["latency_kernels"].kernels())[::60]:
        table.kernel(kernel)
    model = scripts["latency_model"].Model(table)
    used = np.ones(len(model.seconds), bool)

    def cost(x: Any) -> float:  # noqa: ANN401 - an array
        return float(model._cost(x, model.predict(x), used))

    starts = [model.centre + np.random.default_rng(seed).normal(0, 0.3, model.size) for seed in (5, 6)]
    alone = [cost(model._search(used, start)) for start in (model.centre, *starts)]
    assert cost(model.fit(used, starts)) == min(alone)
    assert min(alone) < max(alone), "else nothing was chosen"


def test_desktop_cards_hold_so_many_times_their_boost_clock(scripts: dict[str, ModuleType]) -> None:
    table = scripts["latency_fit"].Table()
    row = alexnet(scripts)
    for gpu in ("GeForce GTX 1080", "TITAN X (Pascal)", "GeForce RTX 2080 Ti", "Tesla K80"):
        table.net(replace(row, gpu=gpu))
    model = scripts["latency_model"].Model(table)
    x, every = model.centre, np.ones(4, bool)
    clock = scripts["latency_fit"].CLOCKS
    # Boost clocks of 1,733 and 1,531 MHz, and of 1,545.
    pascal, turing = clock["Pascal"] / (1.733 * 1.531) ** 0.5, clock["Turing"] / 1.545
    found = model.over_boost(x, every)
    assert found == pytest.approx({"Pascal": pascal, "Turing": turing, "other": (pascal * turing) ** 0.5})
    # Held at as many times their boost as they do hold, the cards take what they took.
    held = model.held_over_boost(np.array([False, False, True, True]), turing)
    assert held.predict(x) == pytest.approx(model.predict(x))
    slower = model.held_over_boost(np.array([False, False, True, True]), 1.0).predict(x)
    assert list(slower > model.predict(x) * (1 + 1e-9)) == [False, False, True, False]


def test_a_fit_finds_the_coefficients_that_made_its_rows(scripts: dict[str, ModuleType]) -> None:
    table = scripts["latency_fit"].Table()
    for kernel in list(scripts["latency_kernels"].kernels())[::30]:
        table.kernel(kernel)
    model = scripts["latency_model"].Model(table)
    truth = model.centre + np.random.default_rng(3).normal(0, 0.3, model.size) * model.width
    model.seconds = model.predict(truth)
    used = np.ones(len(model.seconds), bool)
    before = np.abs(np.log(model.predict(model.centre) / model.seconds)).mean()
    after = np.abs(np.log(model.predict(model.fit(used)) / model.seconds)).mean()
    assert after < before / 3


def test_the_page_has_every_cell_and_every_row_once(scripts: dict[str, ModuleType]) -> None:
    rows = [row for row in scripts["latency_rows"].rows() if not row.excluded]
    cells = section("cells")
    counted = {tuple(cell[:5]): int(cell[5]) for cell in cells}
    expected: dict[tuple[str, ...], int] = {}
    for row in rows:
        if row.batch >= 12:
            expected[row.cell] = expected.get(row.cell, 0) + 1
    assert counted == expected
    assert sum(int(line[3]) for line in section("small")) == sum(row.batch < 12 for row in rows)


def test_the_page_names_what_is_left_out_with_a_reason(scripts: dict[str, ModuleType]) -> None:
    left_out = [row for row in scripts["latency_rows"].rows() if row.excluded]
    assert len(section("excluded")) == len(left_out) > 5


@pytest.mark.usefixtures("torchvision")
def test_the_page_shows_what_layers_come_to_now(scripts: dict[str, ModuleType]) -> None:
    layers = scripts["latency_layers"]
    text = layers.layers_table(scripts["latency_rows"].DATA)
    assert text in PAGE


def section(name: str) -> list[list[str]]:
    """Return the lines of a table of the page, without its heading."""
    text = PAGE.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]
    lines = [line.strip("| ").split(" | ") for line in text.strip().splitlines()]
    assert len(lines) > 2, f"nothing stands under {name}"
    return lines[2:]


def test_every_measurement_has_a_source() -> None:
    for name in ("nets.csv", "convolutions.csv", "kernels.csv", "layers.csv"):
        with (ROOT / "tests" / "data" / "latency" / name).open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file))
        assert len(read) > 400
        assert all(row["source"] for row in read)


def test_the_page_says_what_clock_new_generations_hold() -> None:
    from vggprof.latency.coefficients import OTHER, coefficients  # noqa: PLC0415

    known = coefficients().generations
    factor = known[OTHER].desktop_over_boost
    measured = [each.desktop_over_boost for name, each in known.items() if name not in (OTHER, "Kepler")]
    ends = f"{min(measured):.2f} to {max(measured):.2f}"
    said = f"at {factor:.2f} times their boost clock, as those of the others do ({ends})"
    assert said in " ".join(PAGE.split())
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"hold {factor:.2f} times their boost clock" in " ".join(changelog.split())
