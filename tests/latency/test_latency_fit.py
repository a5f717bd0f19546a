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
    names = ("latency_rows", "latency_kernels", "latency_fit", "latency_model", "latency_layers")
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


def test_arrays_price_kernels_as_the_package_does(scripts: dict[str, ModuleType]) -> None:
    from vggprof.devices import find_device  # noqa: PLC0415
    from vggprof.latency.coefficients import Spread  # noqa: PLC0415
    from vggprof.latency.pricing import Pricer  # noqa: PLC0415

    table = scripts["latency_fit"].Table()
    kernels = some_kernels(scripts)
    for kernel in kernels:
        table.kernel(kernel)
    model = scripts["latency_model"].Model(table)
    x = model.centre + np.random.default_rng(1).normal(0, 0.3, model.size)
    fitted = model.coefficients(x, about="", sources=(), spread=Spread(1, 1, 1))
    expected = [Pricer(find_device(k.gpu), fitted).price(k.work).total_s for k in kernels]
    assert model.predict(x) == pytest.approx(expected, rel=1e-6)


def test_arrays_queue_kernels_as_the_package_does(scripts: dict[str, ModuleType]) -> None:
    from vggprof.latency.coefficients import Spread  # noqa: PLC0415
    from vggprof.latency.host import run_queue  # noqa: PLC0415
    from vggprof.latency.pricing import Pricer  # noqa: PLC0415

    row, table = alexnet(scripts), scripts["latency_fit"].Table()
    table.net(row)
    model = scripts["latency_model"].Model(table)
    for host_us in (1.0, 40.0, 400.0):
        x = model.centre.copy()
        x[model.host_of] = np.log(host_us * 1e-6)
        fitted = model.coefficients(x, about="", sources=(), spread=Spread(1, 1, 1))
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
