"""Each result in each form, from values made by hand: what is not known, what is not counted, what is odd."""

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from vggprof import views
from vggprof._version import __version__
from vggprof.analyzers import (
    Field,
    LayerRow,
    LayerTable,
    MarkBytes,
    Peak,
    Share,
    Stage,
    TensorMemory,
    Unruled,
)
from vggprof.compare import Cause, Profile, compare
from vggprof.compare.peak import PeakShare
from vggprof.forms import Form
from vggprof.spec import Summary
from vggprof.trace import Amp, Dtype, Kind, Layout, Mode, Optimizer, Parameter, Phase, Setup, ZeroGrad
from vggprof.views.phrases import say_setup

GOLDEN = Path(__file__).parents[1] / "golden"

CONV = LayerRow(
    name="conv1",
    module="features.0",
    op="Conv2d",
    stage="stage1",
    input_shapes=((2, 3, 8, 8),),
    output_shape=(2, 4, 8, 6),
    params=112,
    macs=10_368,
    macs_backward=10_368,
    output_bytes=1536,
    saved_bytes=1536,
    read_bytes=1984,
    written_bytes=1536,
    receptive_field=(Field(3, 1, -1), Field(5, 1, -2)),
)
OTHER = LayerRow(
    name="x|y<b>",
    module="",
    op="odd",
    stage="classifier",
    input_shapes=((2, 4, 8, 6), ()),
    output_shape=None,
    params=0,
    macs=0,
    macs_backward=0,
    output_bytes=0,
    saved_bytes=0,
    read_bytes=0,
    written_bytes=0,
    receptive_field=None,
)
TABLE = LayerTable(
    arch="./my_net.yaml@classes=7",
    setup=Setup(batch=2),
    rows=(CONV, OTHER),
    stages=(Stage("stage1", (8, 6)), Stage("classifier", None)),
    unexecuted=tuple(
        Parameter(f"aux.{number}", (2, 5), "float32", number, trainable=True, buffer=False)
        for number in range(8)
    ),
    ledger=(Unruled("aten.new_thing.default", 1), Unruled("aten.other.default", 2)),
)
MEMORY = TensorMemory(
    arch="./my_net.yaml@classes=7",
    setup=Setup(batch=2),
    marks=(MarkBytes(None, "model", 512), MarkBytes(0, "input", 2048), MarkBytes(0, "output", 3584)),
    peak=Peak(4096, 0, Phase.BACKWARD, "conv1", "aten.convolution_backward.default"),
    shares=(
        Share(None, Kind.INPUT, 1536),
        Share("conv1", Kind.PARAMETER, 512),
        Share("conv1", Kind.ACTIVATION, 2048),
    ),
)
SPECS = (
    Summary("a", "A net", "Somebody 2015", ("aa", "aaa"), (3, 8, 8), (("classes", 10), ("width", 0.5))),
    Summary("b", "B net", "Somebody else", (), (1, 4, 4), ()),
)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def envelope(text: str) -> dict[str, Any]:
    result = json.loads(text)
    assert (result["schema_version"], result["vggprof_version"]) == (1, __version__)
    assert isinstance(result, dict)
    return result


def test_layers_say_what_was_not_counted() -> None:
    text = views.layers(TABLE, Form.TABLE)
    assert "- aten.new_thing.default (1 call) has no MAC rule: its MACs are missing here.\n" in text
    assert "- aten.other.default (2 calls) has no MAC rule" in text
    assert "80 parameters of the total are registered but no layer reads them: aux.0, aux.1," in text
    assert "aux.5 and 2 more." in " ".join(text.split())
    assert "Parameters: 192\n" in text


def test_layers_say_flops_as_twice_the_macs() -> None:
    assert "MACs: 10.37 K forward, 10.37 K backward; FLOPs are 2 x MACs: 20.74 K forward" in views.layers(
        TABLE, Form.TABLE
    )


def test_layers_mark_the_biggest_and_show_unequal_axes() -> None:
    lines = views.layers(TABLE, Form.TABLE).splitlines()
    cost, reach = (line.split() for line in lines if line.startswith("conv1 "))
    assert cost[-3:] == ["params,", "MACs,", "saved"]
    assert reach[-4:] == ["5.89", "3x5", "1x1", "-1x-2"]  # 2 x 10,368 / (1,984 + 1,536)


def test_layers_of_a_network_without_any() -> None:
    empty = LayerTable("empty", Setup(), rows=(), stages=(), unexecuted=(), ledger=())
    assert "total" in views.layers(empty, Form.TABLE)
    assert envelope(views.layers(empty, Form.JSON))["biggest"] == dict.fromkeys(
        ("params", "macs", "saved_bytes")
    )


def test_layers_as_json_hold_the_contract() -> None:
    result = envelope(views.layers(TABLE, Form.JSON))
    assert (result["command"], result["arch"]) == ("layers", "./my_net.yaml@classes=7")
    assert result["setup"] == {
        "batch": 2,
        "mode": "train",
        "optimizer": "momentum",
        "dtype": "fp32",
        "amp": "off",
        "layout": "contiguous",
        "accumulate": 1,
        "inplace": False,
        "freeze": None,
        "checkpoint": None,
        "zero_grad": "none",
    }
    conv, odd = result["layers"]
    assert {key: conv[key] for key in ("name", "op", "output_shape", "params", "macs")} == {
        "name": "conv1",
        "op": "Conv2d",
        "output_shape": [2, 4, 8, 6],
        "params": 112,
        "macs": 10_368,
    }
    assert (conv["output_bytes"], conv["saved_bytes"]) == (1536, 1536)
    assert conv["receptive_field"][1] == {"size": 5, "stride": 1, "offset": -2}
    assert odd["output_shape"] is odd["arithmetic_intensity"] is odd["receptive_field"] is None
    assert result["totals"] == {
        "params": 192,
        "unexecuted_params": 80,
        "macs": 10_368,
        "macs_backward": 10_368,
        "output_bytes": 1536,
        "saved_bytes": 1536,
        "read_bytes": 1984,
        "written_bytes": 1536,
        "arithmetic_intensity": 2 * 10_368 / 3520,
    }
    assert len(result["unexecuted"]) == 8
    assert result["unruled"][1] == {"operator": "aten.other.default", "calls": 2}


def test_layers_as_csv_have_raw_numbers_and_empty_cells() -> None:
    conv, odd = rows_of(views.layers(TABLE, Form.CSV))
    assert (conv["params"], conv["output_shape"], conv["receptive_field"]) == ("112", "2x4x8x6", "3x5")
    assert (odd["output_shape"], odd["receptive_field_stride"], odd["input_shapes"]) == (
        "",
        "",
        "2x4x8x6 scalar",
    )


def test_comparison_shows_ratios_to_the_first_and_what_is_missing() -> None:
    profile = Profile(TABLE, MEMORY, (PeakShare(None, Cause.INPUT, 4096),))
    comparison = compare([profile, profile])
    text = views.compare(comparison, Form.TABLE)
    assert "\nparameters " in text
    assert "1.00 x" in text
    assert "largest batch" not in text  # of no network known
    result = envelope(views.compare(comparison, Form.JSON))
    assert result["archs"][0]["largest_batch"] is result["archs"][0]["step_ms"] is None
    assert [ratios["macs"] for ratios in result["ratios"]] == [1.0, 1.0]
    assert sum(group["archs"][0]["params"] for group in result["groups"]) == 112
    totals = [row for row in rows_of(views.compare(comparison, Form.CSV)) if row["group"] == "total"]
    assert [row["params"] for row in totals] == ["192", "192"]


def test_specs_as_json_and_csv() -> None:
    result = envelope(views.specs(SPECS, Form.JSON))
    assert result["specs"][0] == {
        "name": "a",
        "aliases": ["aa", "aaa"],
        "title": "A net",
        "source": "Somebody 2015",
        "input": [3, 8, 8],
        "parameters": {"classes": 10, "width": 0.5},
    }
    assert result["arch"] is result["setup"] is None
    assert rows_of(views.specs(SPECS, Form.CSV))[0]["parameters"] == "classes=10, width=0.5"


@pytest.mark.parametrize("form", [Form.TABLE, Form.MARKDOWN])
def test_names_of_users_are_never_markup(form: Form) -> None:
    text = views.layers(TABLE, form)
    assert ("x|y<b>" in text) == (form is Form.TABLE)
    assert (r"x\|y\<b\>" in text) == (form is Form.MARKDOWN)


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (Setup(batch=32), "batch 32, training with momentum, fp32"),
        (Setup(amp=Amp.FP16), "batch 1, training with momentum, autocast to fp16 with GradScaler"),
        (
            Setup(optimizer=Optimizer.ADAM, amp=Amp.BF16, layout=Layout.CHANNELS_LAST),
            "batch 1, training with adam, autocast to bf16, channels_last",
        ),
        (Setup(mode=Mode.INFER), "batch 1, inference, fp32"),
        (
            Setup(batch=8, accumulate=4, inplace=True, freeze="backbone", zero_grad=ZeroGrad.ZERO),
            "batch 8 x 4 accumulated, training with momentum, fp32, in-place activations, backbone frozen, "
            "gradients zeroed in place",
        ),
        (
            Setup(checkpoint="stage1,stage3", dtype=Dtype.CUSTOM),
            "batch 1, training with momentum, weights in dtypes of its own, stage1 and stage3 checkpointed",
        ),
    ],
)
def test_setup_for_people(setup: Setup, said: str) -> None:
    assert say_setup(setup) == said


@pytest.mark.parametrize(
    ("view", "name"),
    [
        (views.specs, "list.txt"),
        (views.layers, "layers.txt"),
        (views.compare, "demo-compare.txt"),
        (views.memory, "memory-card.txt"),
    ],
)
def test_samples_in_docstrings_are_what_comes_out(view: Callable[..., str], name: str) -> None:
    sample = dedent((view.__doc__ or "").partition("::\n\n")[2]).rstrip(" \n")
    assert sample.endswith("\n...")
    assert (GOLDEN / name).read_text(encoding="utf-8").startswith(sample.removesuffix("..."))
