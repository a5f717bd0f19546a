"""Whatever is in a spec file, reading it ends, soon, with a spec or with our own errors."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from vggprof.errors import UsageError
from vggprof.spec import ArchSpec, shipped_names
from vggprof.spec.reading import parse_spec, read_spec
from vggprof.spec.shipped import find_shipped
from vggprof.spec.words import WORDS, option_kinds

SOON = timedelta(seconds=20)  # what blows up never ends; a busy machine does

KEYS = ["name", "title", "aliases", "source", "input", "parameters", "defaults", "blocks", "layers"]
OPTIONS = sorted({option for word in WORDS for option in option_kinds(word)})
WORD = st.sampled_from(
    [*KEYS, *WORDS, *OPTIONS, "then", "block", "repeat", "a", "b", "width", "3x8x8", "relu", "same"]
)
SCALAR = (
    WORD
    | st.integers(-2, 12).map(str)
    | st.sampled_from(["4*width", "[]", "~", "true", "1e-3", "''", "*a", "&a x"])
)


def flow(node: object) -> str:
    """Return *node* as YAML in one line."""
    if isinstance(node, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(flow, node)) + "]"
    return str(node)


NODES = st.recursive(
    SCALAR, lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(WORD, deeper, max_size=4)
)
ITEMS = st.dictionaries(st.sampled_from(list(WORDS)) | WORD, NODES, min_size=1, max_size=3) | NODES


def read(text: str) -> ArchSpec | None:
    try:
        return parse_spec(text, "net.yaml", {})
    except UsageError as error:
        assert str(error)
        assert all(len(line) < 800 for line in str(error).splitlines())
        return None


@settings(deadline=SOON)
@given(st.text())
def test_any_text(text: str) -> None:
    read(text)


@settings(deadline=SOON)
@given(st.lists(st.sampled_from([*"-:{}[],&*!|>'\"#%@` \n\ta1", "layers", "conv", "- ", ": "]), max_size=60))
def test_any_punctuation(parts: list[str]) -> None:
    read("".join(parts))


@settings(deadline=SOON)
@given(st.dictionaries(st.sampled_from(KEYS), NODES, max_size=9))
def test_any_tree(tree: dict[str, object]) -> None:
    read(flow(tree))


@settings(deadline=SOON)
@given(
    st.lists(ITEMS, min_size=1, max_size=6),
    st.dictionaries(st.sampled_from(["a", "b"]), st.lists(ITEMS), max_size=2),
)
def test_any_layers(layers: list[object], blocks: dict[str, list[object]]) -> None:
    declared = {name: {"parameters": {"width": 2}, "layers": items} for name, items in blocks.items()}
    found = read(
        f"input: 3x8x8\nparameters: {{width: 8}}\nblocks: {flow(declared)}\nlayers:\n"
        + "".join(f"  - {flow(item)}\n" for item in layers)
    )
    assert found is None or found.layers


SHIPPED = {name: find_shipped(name).read_text(encoding="utf-8") for name in shipped_names()}


@settings(deadline=SOON)
@given(st.sampled_from(sorted(SHIPPED)), st.data())
def test_any_slip_of_the_pen(name: str, data: st.DataObject) -> None:
    """A shipped spec with a few characters lost or put in."""
    text = SHIPPED[name]
    start = data.draw(st.integers(0, len(text)))
    put_in = data.draw(st.text(alphabet="-:{}[], \nabc019", max_size=3))
    read(text[:start] + put_in + text[start + data.draw(st.integers(0, 4)) :])


@settings(deadline=SOON)
@given(st.binary(max_size=2000))
def test_any_bytes(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.yaml"
        path.write_bytes(content)
        try:
            read_spec(path, {})
        except UsageError as error:
            assert str(error)
