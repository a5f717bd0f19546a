"""A spec file to an ArchSpec, or all its problems at once."""

from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath

from vggprof.errors import UsageError, did_you_mean
from vggprof.spec.archspec import ArchSpec
from vggprof.spec.blocks import read_blocks
from vggprof.spec.expanding import Expander, Here
from vggprof.spec.expressions import Names
from vggprof.spec.head import BODY_KEYS, HEAD_KEYS, Head, read_head
from vggprof.spec.making import read_defaults
from vggprof.spec.nodes import Entries, Items, Node, compose
from vggprof.spec.ops import Layer
from vggprof.spec.place import Place, Problems
from vggprof.spec.scope import Scope
from vggprof.spec.source import read_text

_KEYS = (*HEAD_KEYS, *BODY_KEYS)


def read_spec(file: Path | Traversable, overrides: Mapping[str, str]) -> ArchSpec:
    """Return the spec in *file* with *overrides* of its parameters and its ``input`` put in.

    Raises SpecError with every problem at ``file:line:column``; UsageError where the file cannot be read, is
    empty, too large or no text, or where an override names no parameter, is no number, or changes nothing.
    """
    return parse_spec(read_text(file), str(file), overrides)


def parse_spec(text: str, file: str, overrides: Mapping[str, str]) -> ArchSpec:
    """Return the spec in *text*, which problems call *file*; raises as `read_spec` does."""
    problems = Problems(file)
    root = _root(compose(text, problems), problems)
    head = read_head(root, overrides, problems, stem=PurePath(file).stem)
    names = Names(head.parameters)
    layers = _layers(root, names, problems)
    problems.raise_if_any()
    _refuse_idle(overrides, head, names.used | head.used)
    parameters = tuple(head.parameters.items())
    return ArchSpec(head.name, head.title, head.source, head.input, parameters, layers, file)


def _root(node: Node | None, problems: Problems) -> Entries:
    if not isinstance(node, Entries):
        at = node.at if node else Place(1, 1)
        problems.stop(
            at, f"a spec is a mapping with the keys {', '.join(_KEYS)}; `input:` and `layers:` are needed"
        )
    for key, _ in node.entries:
        if key.text not in _KEYS:
            problems.add(
                key.at,
                f"unknown key {key.text!r}; {', '.join(_KEYS)} are allowed{did_you_mean(key.text, _KEYS)}",
            )
    return node


def _layers(root: Entries, names: Names, problems: Problems) -> tuple[Layer, ...]:
    defaults = read_defaults(root.find("defaults"), names, problems)
    expander = Expander(defaults, read_blocks(root.find("blocks"), problems), names, problems)
    written = root.find("layers")
    if isinstance(written, Items) and written.items:
        return expander.layers(written.items, Here(Scope(), names))
    problems.add(
        written.at if written else root.at, "layers: a list with a layer or more is wanted, each after a `- `"
    )
    return ()


def _refuse_idle(overrides: Mapping[str, str], head: Head, used: set[str]) -> None:
    """Refuse an override that no layer listens to: its answer would be that of the spec as it is."""
    for name, value in overrides.items():
        if name != "input" and name not in used:
            raise UsageError(
                f"{head.name}: no layer uses the parameter {name!r}, so {name}={value} changes nothing"
            )
