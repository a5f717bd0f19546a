"""What papers say of shipped specs."""

import csv
from pathlib import Path

from vggprof import api
from vggprof.report.published import published

TABLE_2 = Path(__file__).parents[1] / "data" / "published" / "vgg_paper_table2_params.csv"
SPECS = {"A": "vgg11", "A-LRN": "vgg11-lrn", "B": "vgg13", "C": "vgg16-1x1", "D": "vgg16", "E": "vgg19"}
# Simonyan & Zisserman 2015, Table 3: top-5 validation errors, S = Q = 256, and S in [256; 512] with Q = 384.
TABLE_3 = {
    "A": (10.4, None),
    "A-LRN": (10.5, None),
    "B": (9.9, None),
    "C": (9.4, 8.8),
    "D": (8.8, 8.1),
    "E": (9.0, 8.0),
}


def test_parameters_are_those_of_the_papers_table() -> None:
    with TABLE_2.open(encoding="utf-8", newline="") as file:
        said = {SPECS[row["config"]]: int(row["params_millions_paper"]) for row in csv.DictReader(file)}
    assert len(said) == 6
    for name, millions in said.items():
        found = published(name)
        assert found is not None
        assert found.params_millions == millions
        assert round(api.layers(name).totals.params / 1e6) == millions


def test_errors_are_those_of_the_papers_table() -> None:
    for config, errors in TABLE_3.items():
        found = published(SPECS[config])
        assert found is not None
        assert (found.top5_percent, found.top5_jittered_percent) == errors
        assert found.source.endswith(f"configuration {config}")


def test_nothing_was_published_of_others() -> None:
    assert published("vgg16@classes=10") is None
    assert published("./vgg16.yaml") is None
