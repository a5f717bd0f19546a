"""Every way to get a spec wrong is told at its place, with what is allowed and the nearest word."""

import pytest

from vggprof.errors import SpecError
from vggprof.spec.reading import parse_spec

# The first layer stands in line 19, from column 5 on.
HEAD = """\
name: net
input: 3x32x32
parameters: {width: 8}
blocks:
  cell:
    parameters: {channels: , kernel: 1}
    layers:
      - conv1: {conv: channels, kernel: kernel}
  chain:
    layers:
      - {block: ring}
  ring:
    layers:
      - relu
      - {block: chain}
  fine:
    layers: [relu]
layers:
  - """

FOLLOWERS = (
    "batch_norm, lrn, dropout, relu, relu6, leaky_relu, elu, gelu, silu, "
    "hardswish, hardsigmoid, sigmoid, tanh, softmax"
)
OPS = (
    "the ops are adaptive_avg_pool, adaptive_max_pool, add, avg_pool, batch_norm, concat, conv, "
    "conv_transpose, "
    "dropout, elu, flatten, gelu, global_avg_pool, hardsigmoid, hardswish, identity, leaky_relu, linear, "
    "lp_pool, "
    "lrn, max_pool, multiply, relu, relu6, sigmoid, silu, softmax, tanh"
)
PAIR = "or two of them as [height, width]"


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "net.yaml", {})
    return str(caught.value).splitlines()


def messages(item: str) -> list[str]:
    """Return the problems of *item* as the first layer, without the file's name."""
    return [problem.removeprefix("net.yaml:") for problem in problems(HEAD + item)]


ITEMS = {
    # Words
    "rellu": ["19:5: unknown op 'rellu'; did you mean 'relu'?"],
    "relu1: rellu": ["19:12: unknown op 'rellu'; did you mean 'relu'?"],
    "convv: 8": ["19:5: unknown op 'convv'; did you mean 'conv'?"],
    "convv: 2*width": ["19:5: unknown op 'convv'; did you mean 'conv'?"],
    "{convv: 8, kernel: 3}": ["19:6: unknown op 'convv'; did you mean 'conv'?"],
    "c: {convv: 8, kernel: 3}": ["19:9: unknown op 'convv'; did you mean 'conv'?"],
    "{kernel: 3}": [f"19:5: no op is named here; {OPS}"],
    "c:": [f"19:5: layer 'c' says no op; {OPS}"],
    "~": [f"19:5: this line says no op; {OPS}"],
    "[relu, relu]": ["19:5: a list among layers needs a name, as in `- stage1: [...]`"],
    "c: {conv: 8}\n    kernel: 3": [
        "20:5: 'kernel' stands beside the layer 'c'; indent it to stand inside, or start a line of its "
        "own with `- `"
    ],
    "stage: []": ["19:5: group 'stage' is empty; give it a layer or remove it"],
    "{conv: 8, kernel: 1, relu: true}": [
        "19:26: conv and relu are two ops; write `then: relu`, or a line of its own"
    ],
    # Options
    "c: {conv: 8, kernal: 3}": [
        "19:18: c: conv has no option 'kernal'; it has channels, kernel, stride, padding, dilation, "
        "groups, bias; "
        "did you mean 'kernel'?"
    ],
    "conv": ["19:5: conv needs channels and kernel; write {conv: ..., kernel: ...}"],
    "c: {conv: 8}": ["19:5: c: conv needs kernel; write {conv: ..., kernel: ...}"],
    "relu: true": ["19:11: relu takes no argument; write `relu` alone"],
    "relu: {inplace: yes}": ["19:21: relu: inplace is 'yes'; true or false is wanted"],
    "d: {dropout: 1.5}": ["19:18: d: p is 1.5; a number from 0 to 1 is wanted"],
    "d: {dropout: true}": ["19:18: d: p is 'true'; a number from 0 to 1 is wanted"],
    "c: {conv: 8, kernel: [3, 3, 3]}": [
        f"19:26: c: kernel is a list of 3; a whole number from 1 to 4096, {PAIR} is wanted"
    ],
    "c: {conv: 8, kernel: {h: 3}}": [
        f"19:26: c: kernel is a mapping; a whole number from 1 to 4096, {PAIR} is wanted"
    ],
    "c: {conv: 8, kernel: 3, padding: smae}": [
        "19:38: c: padding: unknown parameter 'smae'; the parameters here are width; did you mean 'same'?"
    ],
    "c: {conv: 8, kernel: 3, groups: depthwize}": [
        "19:37: c: groups: unknown parameter 'depthwize'; the parameters here are width; did you mean "
        "'depthwise'?"
    ],
    "c: {conv: 8, channels: 4, kernel: 3}": ["19:18: c: channels is said twice"],
    "c: {conv: {channels: 4, kernel: 3}, kernel: 1}": ["19:41: c: kernel is said twice"],
    # Sizes
    "c: {conv: 0, kernel: 3}": ["19:15: c: channels is 0; a whole number from 1 to 10000000 is wanted"],
    "c: {conv: -8, kernel: 3}": ["19:15: c: channels is -8; a whole number from 1 to 10000000 is wanted"],
    "c: {conv: 1000000000000, kernel: 3}": [
        "19:15: c: channels is 1000000000000; a whole number from 1 to 10000000 is wanted"
    ],
    "c: {conv: 8.5, kernel: 3}": ["19:15: c: channels is '8.5'; a whole number from 1 to 10000000 is wanted"],
    "c: {conv: 8, kernel: 3, padding: -1}": [
        f"19:38: c: padding is -1; a whole number from 0 to 4096, {PAIR} or 'same' is wanted"
    ],
    "c: {conv: 8, kernel: 3, stride: [1, 5000]}": [
        f"19:37: c: stride is 5000; a whole number from 1 to 4096, {PAIR} is wanted"
    ],
    "c: {conv: width - 8, kernel: 3}": [
        "19:15: c: channels is 0 by 'width - 8'; a whole number from 1 to 10000000 is wanted"
    ],
    # Expressions
    "c: {conv: widht, kernel: 3}": [
        "19:15: c: channels: unknown parameter 'widht'; the parameters here are width; did you mean 'width'?"
    ],
    "c: {conv: 8*(width, kernel: 3}": [
        "19:15: c: channels: cannot read '8*(width': it ends too early; "
        "numbers, parameters, + - * // and ( ) are allowed"
    ],
    "c: {conv: width//0, kernel: 3}": ["19:15: c: channels: 'width//0' divides by 0"],
    # What options may not say together
    "c: {conv: 8, kernel: 3, groups: 3}": [
        "19:5: c: 8 channels cannot be split into 3 groups; a multiple of groups is wanted"
    ],
    "c: {conv: 8, kernel: 3, stride: 2, padding: same}": [
        "19:5: c: padding: same wants stride 1, not 2x2; write the padding as a number"
    ],
    "c: {conv_transpose: 8, kernel: 3, output_padding: 1}": [
        "19:5: c: output_padding 1x1 must be smaller than the stride or the dilation"
    ],
    "p: {max_pool: 2, padding: 2}": ["19:5: p: padding 2x2 is more than half of the kernel 2x2"],
    # What follows
    "c: {conv: 8, kernel: 3, then: max_pool}": [
        f"19:35: max_pool cannot stand after `then:`; {FOLLOWERS} can"
    ],
    "c: {conv: 8, kernel: 3, then: [relu, drop]}": [
        f"19:42: unknown op 'drop'; {FOLLOWERS} can; did you mean 'dropout'?"
    ],
    "c: {conv: 8, kernel: 3, then: {dropout: 2}}": ["19:45: dropout: p is 2; a number from 0 to 1 is wanted"],
    "c: {conv: 8, kernel: 3, then: {dropout: 0.2, then: relu}}": [
        "19:35: `then:` cannot stand within `then:`; list all that follows: [relu, dropout]"
    ],
    # Branches
    "r: {add: {a: []}}": ["19:14: add wants two branches or more, as in {add: {main: [...], shortcut: []}}"],
    "r: {concat: 3}": [
        "19:17: concat wants two branches or more, as in {concat: {main: [...], shortcut: []}}"
    ],
    "add": ["19:5: add wants two branches or more, as in {add: {main: [...], shortcut: []}}"],
    "r: {add: {a: , b: [relu]}}": ["19:15: branch 'a' says nothing; write [] for the identity"],
    "r: {add: {a: [], b: [relu]}, inplace: true}": [
        "19:5: r: inplace adds onto the first branch, 'a', which is the input itself; "
        "write the branch that has layers first"
    ],
    "r: {add: {a: [{relu: {inplace: true}}], b: []}}": [
        "19:5: r: r.a.0 works in place and opens the branch 'a': it would change what the other branches "
        "read; "
        "set its inplace: false"
    ],
    # Blocks
    "{block: sell, channels: 8}": [
        "19:13: unknown block 'sell'; the blocks are cell, chain, ring, fine; did you mean 'cell'?"
    ],
    "{block: cell}": ["19:5: block 'cell' needs 'channels'; write {block: cell, channels: ...}"],
    "{block: cell, channels: 8, kernal: 3}": [
        "19:32: block 'cell' has no parameter 'kernal'; it has channels, kernel; did you mean 'kernel'?"
    ],
    "{block: fine, repat: 2}": [
        "19:19: block 'fine' has no parameter 'repat'; it has none; did you mean 'repeat'?"
    ],
    "{block: fine, repeat: 0}": ["19:27: repeat is 0; a whole number from 1 to 20000 is wanted"],
    "{block: fine, repeat: 30000}": ["19:27: repeat is 30000; a whole number from 1 to 20000 is wanted"],
    "{block: cell, channels: width*, kernel: 3}": [
        "19:29: channels: cannot read 'width*': it ends too early; numbers, parameters, + - * // and ( ) "
        "are allowed"
    ],
    "{block: chain}": ["15:9: block 'chain' uses itself: chain -> ring -> chain"],
    # Inside a block the mistake is told where it stands, once, however often the block is used
    "{block: cell, channels: 0, repeat: 9}": [
        "8:23: conv1: channels is 0 by 'channels'; a whole number from 1 to 10000000 is wanted"
    ],
    # Names
    "a b: relu": ["19:5: 'a b' is no name; letters, digits and '_' are allowed, 100 at most"],
    "a.b: relu": ["19:5: 'a.b' is no name; letters, digits and '_' are allowed, 100 at most"],
    "a: relu\n  - a: tanh": ["20:5: a names two layers; the other is in line 19"],
    "g: [{a: relu}, {a: tanh}]": ["19:21: g.a names two layers; the other is in line 19"],
    "relu\n  - relu: relu": ["20:5: relu names two layers; the other is in line 19"],
    # YAML that is no spec
    "c: &a {conv: 8, kernel: 3}": [
        "19:8: anchors (&) and aliases (*) are not used in specs; write a block and use it by name"
    ],
    "c: *a": ["19:8: anchors (&) and aliases (*) are not used in specs; write a block and use it by name"],
    "c: {<<: {conv: 3}, kernel: 2}": [
        "19:9: merge keys (<<) are not used in specs; use defaults: or a block"
    ],
    "c: !!python/object/apply:os.system [ls]": [
        "19:8: tags are not used in specs; remove tag:yaml.org,2002:python/object/apply:os.system"
    ],
    "c: {conv: 8, kernel: 3, kernel: 4}": ["19:29: 'kernel' stands here twice; first in line 19"],
    "relu\n---\na: b": ["21:1: a second document; a spec is one"],
}


@pytest.mark.parametrize(("item", "expected"), ITEMS.items(), ids=list(ITEMS))
def test_items(item: str, expected: list[str]) -> None:
    assert messages(item) == expected


BODY = "layers: [relu]\n"
FILES = {
    "relu": [
        "1:1: a spec is a mapping with the keys name, title, aliases, source, input, parameters, "
        "defaults, blocks, "
        "layers; `input:` and `layers:` are needed"
    ],
    "# nothing": [
        "1:1: a spec is a mapping with the keys name, title, aliases, source, input, parameters, "
        "defaults, blocks, "
        "layers; `input:` and `layers:` are needed"
    ],
    "title: net": [
        "1:1: input: is missing; channels x height x width is wanted, as in 3x224x224, "
        "with at most 10000000 channels and 16384 pixels a side",
        "1:1: layers: a list with a layer or more is wanted, each after a `- `",
    ],
    "input: 3x8x8\nlayer: [relu]": [
        "1:1: layers: a list with a layer or more is wanted, each after a `- `",
        "2:1: unknown key 'layer'; name, title, aliases, source, input, parameters, defaults, blocks, "
        "layers are "
        "allowed; did you mean 'layers'?",
    ],
    "input: 3x8x8\nlayers: {a: relu}": [
        "2:9: layers: a list with a layer or more is wanted, each after a `- `"
    ],
    f"input: 224\n{BODY}": [
        "1:8: input: is '224'; channels x height x width is wanted, as in 3x224x224, "
        "with at most 10000000 channels and 16384 pixels a side"
    ],
    f"input: 3x0x8\n{BODY}": [
        "1:8: input: is '3x0x8'; channels x height x width is wanted, as in 3x224x224, "
        "with at most 10000000 channels and 16384 pixels a side"
    ],
    f"input: [3, 224, 99999]\n{BODY}": [
        "1:8: input: is '3x224x99999'; channels x height x width is wanted, as in 3x224x224, "
        "with at most 10000000 channels and 16384 pixels a side"
    ],
    f"name: a/b\ninput: 3x8x8\n{BODY}": [
        "1:7: a name is letters, digits, '_', '.', '+' and '-', at most 100 of them, as in vgg16"
    ],
    f"aliases: vgg-d\ninput: 3x8x8\n{BODY}": ["1:10: aliases: a list of names is wanted, as in [vgg-d]"],
    f"parameters: {{input: 3, a-b: 1, c: true, d: c+e}}\ninput: 3x8x8\n{BODY}": [
        "1:14: 'input' is no name for a parameter: it is the input's size",
        "1:24: 'a-b' is no name for a parameter; letters, digits and '_' are allowed",
        "1:35: c: a number up to 10000000 is wanted",
        "1:44: d: unknown parameter 'e'; the parameters here are c",
    ],
    f"parameters: [width]\ninput: 3x8x8\n{BODY}": [
        "1:13: parameters: a mapping is wanted, as in {classes: 1000, width: 64}"
    ],
    f"input: 3x8x8\nblocks:\n  cell: [relu]\n  b: {{layer: [relu]}}\n{BODY}": [
        "3:9: block 'cell': a mapping with parameters: and layers: is wanted",
        "4:3: block 'b' needs layers: a list with a layer or more",
        "4:7: block 'b' has no key 'layer'; parameters and layers are allowed; did you mean 'layers'?",
    ],
    f"input: 3x8x8\ndefaults: {{convv: {{kernel: 3}}, relu: 3, conv: {{kernel: 0, kernal: 1}}}}\n{BODY}": [
        "2:12: unknown op 'convv' in defaults; did you mean 'conv'?",
        "2:38: defaults of relu: a mapping of options is wanted",
        f"2:56: defaults of conv: kernel is 0; a whole number from 1 to 4096, {PAIR} is wanted",
        "2:59: defaults of conv: conv has no option 'kernal'; it has channels, kernel, stride, padding, "
        "dilation, "
        "groups, bias; did you mean 'kernel'?",
    ],
}


@pytest.mark.parametrize(("text", "expected"), FILES.items(), ids=list(FILES))
def test_whole_files(text: str, expected: list[str]) -> None:
    assert [problem.removeprefix("net.yaml:") for problem in problems(text)] == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("input: 3x8x8\nlayers: [relu", "net.yaml:3:1: this is not YAML: "),
        ("input: 3x8x8\nlayers:\n  - {conv: 8\n  - relu\n", "net.yaml:5:1: this is not YAML: "),
        ("input: '3x8x8\nlayers: [relu]\n", "net.yaml:3:1: this is not YAML: "),
        ("input: 3x8x8\n\tlayers: [relu]\n", "net.yaml:2:1: this is not YAML: "),
        ("a: b: c\n", "net.yaml:1:5: this is not YAML: "),
    ],
)
def test_broken_yaml(text: str, place: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(place)
    assert problem.endswith("; are the brackets closed and the lines indented alike?")


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    text = (
        "nmae: net\n"
        "input: 3x32\n"
        "defaults: {conv: {kernl: 3}}\n"
        "layers:\n"
        "  - conv1: {conv: widht, kernel: 3, then: rellu}\n"
        "  - pool1: {max_pol: 2}\n"
        "  - conv1: {conv: 8, kernel: -3}\n"
        "  - flaten\n"
    )
    places = [problem.split(": ")[0].removeprefix("net.yaml:") for problem in problems(text)]
    assert places == ["1:1", "2:8", "3:19", "5:19", "5:43", "6:13", "7:5", "7:30", "8:5"]


def test_after_fifty_problems_the_rest_is_left_for_later() -> None:
    found = problems("input: 3x8x8\nlayers:\n" + "  - rellu\n" * 5000)
    assert len(found) == 51
    assert found[0] == "net.yaml:3:5: unknown op 'rellu'; did you mean 'relu'?"
    assert found[-1] == "net.yaml:52:5: there may be more problems; these are the first found"
