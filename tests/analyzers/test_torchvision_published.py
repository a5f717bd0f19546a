"""Every convolutional classification network of torchvision, against the counts that its weights publish."""

import csv
from pathlib import Path
from types import ModuleType

import pytest

from vggprof.analyzers import layer_table
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch
from vggprof.trace import Setup
from vggprof.tracing import trace_network

TABLE = Path(__file__).parents[1] / "data" / "published" / "torchvision_meta.csv"

with TABLE.open(encoding="utf-8", newline="") as file:
    ROWS = {
        (row["model"], row["crop_size"]): row for row in csv.DictReader(file) if row["conv_only"] == "yes"
    }

# Weights are published without the auxiliary heads, which are there but do not run in inference.
_KEYWORDS = {"googlenet": ",aux_logits=False,init_weights=False", "inception_v3": ",init_weights=False"}


@pytest.mark.parametrize(("model", "size"), ROWS, ids=map("-".join, ROWS))
def test_parameters_and_macs_are_the_published_ones(model: str, size: str, torchvision: ModuleType) -> None:
    """Parameters exactly; MACs, which torchvision calls GFLOPS, to the last digit; no operator left out."""
    arch = f"torchvision.models:{model}@input=3x{size}x{size}{_KEYWORDS.get(model, '')}"
    network = load(parse_arch(arch))
    trace = trace_network(network.module, network.input_shape, Setup(mode="infer"), arch=arch, steps=1)  # type: ignore[arg-type]
    table = layer_table(trace)
    row = ROWS[model, size]
    assert table.totals.params == int(row["num_params"])
    assert f"{table.totals.macs / 1e9:.3f}" == f"{float(row['gflops_ops']):.3f}"
    assert table.ledger == ()


def test_the_table_is_there() -> None:
    assert len({model for model, _ in ROWS}) == 68
