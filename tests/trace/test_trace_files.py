"""A trace that is written and read again is the same trace; a file that is no trace says why."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof.errors import FileFormatError, UsageError
from vggprof.trace import (
    ITEM_BYTES,
    Amp,
    Argument,
    Born,
    Dtype,
    Event,
    Freed,
    Kind,
    Layer,
    Layout,
    Mark,
    Mode,
    Operand,
    Operator,
    Optimizer,
    Parameter,
    Phase,
    Ran,
    Setup,
    Storage,
    Trace,
    ZeroGrad,
    files,
)
from vggprof.trace.files import from_json, read_trace, to_json, write_trace
from vggprof.trace.setup import MAX_ACCUMULATE

# --- traces of any make -------------------------------------------------------------------------------------

COUNTS = st.integers(0, 2**62)
SHAPES = st.lists(COUNTS, max_size=4).map(tuple)
DTYPES = st.sampled_from(sorted(ITEM_BYTES))
ARGUMENTS: st.SearchStrategy[Argument] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
SETUPS = st.one_of(
    st.builds(
        Setup,
        batch=st.integers(1, 2**24),
        optimizer=st.sampled_from(Optimizer),
        amp=st.sampled_from(Amp),
        layout=st.sampled_from(Layout),
        accumulate=st.integers(1, MAX_ACCUMULATE),
        inplace=st.booleans(),
        freeze=st.none() | st.sampled_from(["backbone", "conv1_*", "é, b"]),
        checkpoint=st.none() | st.sampled_from(["stages", "stage1,stage3"]),
        zero_grad=st.sampled_from(ZeroGrad),
    ),
    st.builds(Setup, batch=st.integers(1, 2**24), mode=st.just(Mode.INFER), dtype=st.sampled_from(Dtype)),
)


def row_of(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, count - 1)


def maybe_row_of(count: int) -> st.SearchStrategy[int | None]:
    return st.none() | row_of(count) if count else st.none()


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    layer_count, operator_count, storage_count = (draw(st.integers(0, 4)) for _ in range(3))
    storages = st.builds(
        Storage, COUNTS, st.sampled_from(Kind), maybe_row_of(layer_count), maybe_row_of(operator_count)
    )
    operands = st.builds(Operand, st.text(max_size=3), row_of(storage_count), SHAPES, SHAPES, DTYPES)
    some_operands = st.lists(operands, max_size=3).map(tuple) if storage_count else st.just(())
    arguments = st.lists(st.tuples(st.text(max_size=3), ARGUMENTS), max_size=3).map(tuple)
    layers = st.builds(
        Layer,
        name=st.text(max_size=5),
        module=st.text(max_size=5),
        op=st.text(max_size=5),
        input_shapes=st.lists(SHAPES, max_size=2).map(tuple),
        output_shape=st.none() | SHAPES,
        training=st.booleans(),
    )
    operators = st.builds(
        Operator,
        name=st.text(max_size=5),
        step=st.integers(0, 5),
        phase=st.sampled_from(Phase),
        layer=maybe_row_of(layer_count),
        inputs=some_operands,
        outputs=some_operands,
        arguments=arguments,
    )
    parameters = st.builds(
        Parameter, st.text(max_size=5), SHAPES, DTYPES, row_of(storage_count), st.booleans(), st.booleans()
    )
    events: st.SearchStrategy[Event] = st.builds(Mark, st.none() | st.integers(0, 5), st.sampled_from(Phase))
    if storage_count:
        events |= st.builds(Born, row_of(storage_count)) | st.builds(Freed, row_of(storage_count))
    if operator_count:
        events |= st.builds(Ran, row_of(operator_count))
    return Trace(
        arch=draw(st.text()),
        setup=draw(SETUPS),
        torch_version=draw(st.text(max_size=8)),
        layers=tuple(draw(layers) for _ in range(layer_count)),
        parameters=tuple(draw(st.lists(parameters, max_size=3))) if storage_count else (),
        storages=tuple(draw(storages) for _ in range(storage_count)),
        operators=tuple(draw(operators) for _ in range(operator_count)),
        events=tuple(draw(st.lists(events, max_size=8))),
    )


@given(traces())
@settings(deadline=None)  # on a machine that may be busy
def test_a_trace_comes_back_as_it_was(trace: Trace) -> None:
    again = from_json(to_json(trace))
    assert again == trace
    assert repr(again) == repr(trace)  # == takes True, 1 and 1.0 for one


@given(traces())
@settings(deadline=None, max_examples=30)
def test_the_file_is_strict_json_in_ascii(trace: Trace) -> None:
    text = to_json(trace)
    assert text.isascii()
    assert "\n" not in text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


# --- a trace made by hand -----------------------------------------------------------------------------------


def chain(length: int) -> Trace:
    """A chain of *length* operators, each of which reads what the one before wrote."""
    shape, strides = (32, 64, 56, 56), (64 * 56 * 56, 56 * 56, 56, 1)
    tensors = [Operand("input", row, shape, strides, "float32") for row in range(length + 1)]
    operators = [
        Operator(
            name="aten.convolution.default",
            step=row // max(1, length // 3),
            phase=Phase.FORWARD,
            layer=row % 16,
            inputs=(tensors[row], Operand("weight", 0, (64, 64, 3, 3), (576, 9, 3, 1), "float32")),
            outputs=(replace(tensors[row + 1], name="out"),),
            arguments=(("stride", (1, 1)), ("padding", (1, 1)), ("groups", 1), ("transposed", False)),
        )
        for row in range(length)
    ]
    events: list[Event] = [Born(0), Mark(None, Phase.MODEL)]
    for row in range(length):
        events += [Ran(row), Born(row + 1), Freed(row)]
    return Trace(
        arch="chain",
        setup=Setup(batch=32),
        torch_version="2.13.0",
        layers=tuple(
            Layer(f"conv{row}", f"features.{row}", "Conv2d", (shape,), shape, True) for row in range(16)
        ),
        parameters=(Parameter("conv0.weight", (64, 64, 3, 3), "float32", 0, True, False),),
        storages=tuple(
            Storage(32 * 64 * 56 * 56 * 4, Kind.ACTIVATION, 0, row - 1 if row else None)
            for row in range(length + 1)
        ),
        operators=tuple(operators),
        events=(*events, Mark(2, Phase.OPTIMIZER)),
    )


def test_what_repeats_is_written_once() -> None:
    """An operator more costs its columns (some 25 numbers), not its name, shapes and arguments again."""
    short, long = len(to_json(chain(100))), len(to_json(chain(1100)))
    assert (long - short) / 1000 < 150
    assert to_json(chain(1100)).count("aten.convolution.default") == 1


def test_size_grows_linearly() -> None:
    sizes = [len(to_json(chain(length))) for length in (1_000, 2_000, 4_000)]
    assert (sizes[2] - sizes[1]) / 2_000 == pytest.approx((sizes[1] - sizes[0]) / 1_000, rel=0.05)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_arguments(value: float) -> None:
    trace = with_argument(value)
    assert from_json(to_json(trace)) == trace


def test_not_a_number_as_an_argument() -> None:
    again = from_json(to_json(with_argument(math.nan))).operators[0].argument("value")
    assert isinstance(again, float)
    assert math.isnan(again)


def with_argument(value: Argument) -> Trace:
    trace = chain(1)
    return replace(trace, operators=(replace(trace.operators[0], arguments=(("value", value),)),))


def test_equal_arguments_of_different_types_stay_apart() -> None:
    """Python calls 1, 1.0 and True equal; in a table of arguments they must be three rows."""
    trace = chain(3)
    values: tuple[Argument, ...] = (1, True, 1.0)
    operators = tuple(
        replace(operator, arguments=(("value", value),))
        for operator, value in zip(trace.operators, values, strict=True)
    )
    again = from_json(to_json(replace(trace, operators=operators)))
    assert [type(operator.argument("value")) for operator in again.operators] == [int, bool, float]


# --- files that are no traces -------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(to_json(chain(2)))
    return loaded


def test_every_key_is_needed() -> None:
    for key in document():
        if key == "vggprof_version":  # who wrote it is for people
            continue
        fields = document()
        del fields[key]
        with pytest.raises(FileFormatError, match="trace"):
            from_json(json.dumps(fields))


def test_every_column_is_needed() -> None:
    tables = {key: value for key, value in document().items() if isinstance(value, dict)}
    assert set(tables) >= {
        "setup",
        "layers",
        "parameters",
        "storages",
        "operators",
        "operands",
        "marks",
        "events",
    }
    for key, table in tables.items():
        for column in table:
            fields = document()
            del fields[key][column]
            with pytest.raises(FileFormatError, match=f"trace: {key}: '{column}' is missing"):
                from_json(json.dumps(fields))


POINTERS = [
    ("layers", "name", "texts"),
    ("layers", "output_shape", "shapes"),
    ("parameters", "shape", "shapes"),
    ("parameters", "storage", "storages"),
    ("storages", "kind", "texts"),
    ("storages", "layer", "layers"),
    ("storages", "operator", "operators"),
    ("operators", "layer", "layers"),
    ("operators", "arguments", "arguments"),
    ("operands", "name", "texts"),
    ("operands", "storage", "storages"),
    ("operands", "shape", "shapes"),
    ("operands", "strides", "shapes"),
]


@pytest.mark.parametrize(("table", "column", "target"), POINTERS)
def test_an_index_out_of_range(table: str, column: str, target: str) -> None:
    fields = document()
    rows = fields[target]
    count = len(rows) if isinstance(rows, list) else len(next(iter(rows.values())))
    for wrong, message in ((count, f"at row {count} of {count}"), (-1, "negative")):
        fields[table][column][0] = wrong
        with pytest.raises(FileFormatError, match=message):
            from_json(json.dumps(fields))


@pytest.mark.parametrize("letter", "RBFM")
def test_an_event_about_a_row_that_is_not_there(letter: str) -> None:
    fields = document()
    fields["events"]["of"][fields["events"]["kind"].index(letter)] = 3
    with pytest.raises(FileFormatError, match="events: 'of' points at a row that is not there"):
        from_json(json.dumps(fields))


def test_a_list_of_indices_out_of_range() -> None:
    fields = document()
    fields["operators"]["inputs"][0] = [10_000]
    with pytest.raises(FileFormatError, match="trace: operators: 'inputs' points at row 10000 of"):
        from_json(json.dumps(fields))


def put(*way: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        inner: Any = fields
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", value="other"), "not a trace of vggprof"),
        (
            put("schema_version", value=2),
            "schema version 2, but this vggprof reads 1; trace the network again",
        ),
        (put("schema_version", value="1"), "schema version '1', but"),
        (put("arch", value=None), "'arch' must be a text, not None"),
        (put("layers", value=[]), "'layers' must be an object"),
        (put("shapes", 0, value=[1, "2"]), "'shapes' holds a text where a whole number belongs"),
        (put("shapes", 0, value=[1.5]), "'shapes' holds a fraction where a whole number belongs"),
        (put("shapes", 0, value=[True]), "'shapes' holds a boolean where a whole number belongs"),
        (put("shapes", 0, value=[-1]), "'shapes' holds -1, which is negative"),
        (put("storages", "nbytes", 0, value=-4), "storages: 'nbytes' holds -4, which is negative"),
        (put("storages", "nbytes", value=[1]), "storages: columns of different lengths"),
        (put("storages", "kind", 0, value=0), "'conv0' is none of parameters, buffers, gradients"),
        (put("layers", "training", 0, value=1), "'training' holds a whole number where a boolean belongs"),
        (put("operands", "dtype", 0, value=0), "'conv0' is not a dtype of a trace"),
        (put("setup", "batch", value=0), "setup: batch 0 cannot be run"),
        (put("setup", "accumulate", value=0), "setup: accumulate 0 cannot be run"),
        (put("setup", "freeze", value=3), "setup: 'freeze' must be a text, not 3"),
        (put("setup", "batch", value=True), "setup: 'batch' must be a whole number, not True"),
        (put("setup", "mode", value="evaluate"), "setup: mode: 'evaluate' is none of train, infer"),
        (put("events", "of", 0, value=-1), "events: 'of' holds -1, which is negative"),
        (put("events", "kind", value="B"), "events: needs one letter of RBFM for each row"),
        (put("events", "kind", value="X" * 9), "events: needs one letter of RBFM for each row"),
        (put("arguments", 0, value="no list"), "'arguments' holds 'no list'"),
        (put("arguments", 0, value=[["one"]]), "where a name and a value belong"),
        (put("arguments", 0, value=[["a", {"b": 1}]]), "which is no value of an argument"),
        (put("arguments", 0, value=[["a", {"float": "1.5"}]]), "which is no value of an argument"),
        (put("arguments", 0, value=[["a", {"float": []}]]), "which is no value of an argument"),
    ],
)
def test_a_value_of_another_kind(change: Callable[[dict[str, Any]], None], message: str) -> None:
    fields = document()
    change(fields)
    with pytest.raises(FileFormatError) as raised:
        from_json(json.dumps(fields))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_document_of_these_tests_is_sound() -> None:
    """What the changes above break is whole without them."""
    assert from_json(json.dumps(document())) == chain(2)
    assert len(document()["events"]["kind"]) == 9


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"text"', "[" * 100_000, '{"format": NaN}', "\0", "9" * 10_000]
)
def test_texts_that_are_no_trace(text: str) -> None:
    with pytest.raises(FileFormatError, match=r"^here: ") as raised:
        from_json(text, "here")
    assert "\n" not in str(raised.value)


def test_every_truncation_is_refused() -> None:
    text = to_json(chain(2))
    for length in range(len(text)):
        with pytest.raises(FileFormatError):
            from_json(text[:length])


# --- on disk ------------------------------------------------------------------------------------------------


def test_a_file_and_back(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    write_trace(chain(5), path)
    assert read_trace(path) == chain(5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"none\.json: cannot be read: No such file"):
        read_trace(tmp_path / "none.json")


def test_a_directory_is_not_a_trace(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_trace(tmp_path)


def test_a_picture_is_not_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(FileFormatError, match=r"picture\.png: not a text"):
        read_trace(path)


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    endless = Path("/dev/zero")
    if not endless.exists():
        pytest.skip("needs a file without an end")
    with pytest.raises(FileFormatError, match="larger than any trace"):
        read_trace(endless)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing.trace\.json: the trace cannot be written: No such file"):
        write_trace(chain(1), tmp_path / "missing" / "trace.json")
