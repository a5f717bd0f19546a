"""Specs made to blow up are cut short: deep nesting, endless blocks, aliases that laugh."""

import pytest

from vggprof.errors import SpecError
from vggprof.spec.reading import parse_spec


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "net.yaml", {})
    return str(caught.value).splitlines()


INPUT = "input: 3x8x8\n"
DEEP_BLOCKS = (
    "".join(f"  b{i}: {{layers: [{{block: b{i + 1}}}]}}\n" for i in range(60)) + "  b60: {layers: [relu]}\n"
)
FORKS = "".join(f"  b{i}: {{layers: [{{block: b{i + 1}}}, {{block: b{i + 1}}}]}}\n" for i in range(40))
REPEATS = "".join(f"  b{i}: {{layers: [{{block: b{i + 1}, repeat: 20000}}]}}\n" for i in range(40))
HOSTILE = {
    "brackets": (INPUT + "layers: " + "[" * 10**6, "2:73: nested more than 64 deep"),
    "mappings": (INPUT + "layers: " + "{a: " * 10**5, "2:262: nested more than 64 deep"),
    "dashes": (INPUT + "layers:\n" + "- " * 10**5, "3:129: nested more than 64 deep"),
    "values": (
        INPUT + "layers:\n" + "- a: relu\n" * 80000,
        "66668:3: more than 200000 values; a spec is smaller",
    ),
    "layers": (INPUT + "layers:\n" + "- relu\n" * 20001, "20003:3: more than 20000 layers"),
    "forks": (
        f"{INPUT}blocks:\n{FORKS}  b40: {{layers: [relu]}}\nlayers: [{{block: b0}}]",
        "43:3: more than 20000 layers",
    ),
    "repeats": (
        f"{INPUT}blocks:\n{REPEATS}  b40: {{layers: [relu]}}\nlayers: [{{block: b0}}]",
        "43:18: more than 20000 layers",
    ),
    "chain of blocks": (
        f"{INPUT}blocks:\n{DEEP_BLOCKS}layers: [{{block: b0}}]",
        "53:3: groups, branches and blocks more than 50 deep in one another",
    ),
    "blocks": (
        INPUT + "blocks: {" + "".join(f"b{i}: , " for i in range(300)) + "}",
        "2:1500: more than 200 blocks",
    ),
    "parameters": (
        INPUT + "parameters: {" + "".join(f"p{i}: 1, " for i in range(300)) + "}",
        "2:804: more than 100 parameters",
    ),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=list(HOSTILE))
def test_what_grows_without_end_is_cut_short(text: str, expected: str) -> None:
    assert problems(text)[-1].removeprefix("net.yaml:") == expected


def test_laughing_at_aliases_is_refused_before_any_is_followed() -> None:
    laughs = "a0: &a0 [ha]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    found = problems(laughs + "input: 3x8x8\nlayers: [*a39]\n")
    assert {problem.split(": ", 1)[1] for problem in found[:-1]} == {
        "anchors (&) and aliases (*) are not used in specs; write a block and use it by name"
    }
