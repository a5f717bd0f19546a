"""Weights of a shallow network in a deeper one: which, how many, and with real state dicts."""

import json

import pytest
import torch

from vggprof import api, views
from vggprof.cli.run import run
from vggprof.errors import UsageError
from vggprof.forms import Form
from vggprof.network import materialize
from vggprof.network.load import load
from vggprof.spec.arch import parse_arch

FIRST_FOUR = ["conv1_1", "conv2_1", "conv3_1", "conv3_2"]  # of A, Table 1


def module(arch: str) -> torch.nn.Module:
    return materialize(load(parse_arch(arch)).module, "cpu")


@pytest.mark.parametrize("deep", ["vgg13", "vgg16", "vgg19"])
def test_what_the_paper_inherits(deep: str) -> None:
    plan = api.transfer("vgg11", deep)
    assert [each.name for each in plan.layers if each.source] == [*FIRST_FOUR, "fc6", "fc7", "fc8"]
    assert all(each.source in (None, each.name) for each in plan.layers)
    # 9 (3*64 + 64*128 + 128*256 + 256*256) + 64 + 128 + 2*256 and the classifier's 123,642,856.
    features = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256) + 64 + 128 + 2 * 256
    assert plan.inherited_params == features + 123_642_856
    assert plan.params == api.layers(deep).totals.params


def test_the_command_inherits_what_the_paper_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transfer", "vgg11", "vgg13"]) == 0
    assert capsys.readouterr().out == views.transfer(api.transfer("vgg11", "vgg13"), Form.TABLE)


def test_real_state_dicts() -> None:
    small = "@classes=5,width=4,input=3x32x32"
    plan = api.transfer(f"vgg11{small}", f"vgg16{small}")
    shallow, deep = module(f"vgg11{small}").state_dict(), module(f"vgg16{small}")
    before = {name: tensor.clone() for name, tensor in deep.state_dict().items()}
    state = plan.apply(shallow, deep.state_dict())
    deep.load_state_dict(state)
    inherited = {tensor.name for layer in plan.layers for tensor in layer.tensors if tensor.source}
    assert len(inherited) == 2 * 7
    for name, tensor in deep.state_dict().items():
        assert torch.equal(tensor, (shallow if name in inherited else before)[name]), name


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    small = "@classes=5,width=4,input=3x32x32"
    plan = api.transfer(f"vgg11{small}", f"vgg13{small}")
    shallow, deep = module(f"vgg11{small}").state_dict(), module(f"vgg13{small}").state_dict()
    wrong = {name: tensor for name, tensor in shallow.items() if name != "conv2_1.bias"}
    wrong["fc7.weight"] = torch.zeros(3, 4)
    with pytest.raises(UsageError) as refused:
        plan.apply(wrong, deep)
    assert "has no conv2_1.bias" in str(refused.value)
    assert "fc7.weight in the state of vgg11" in str(refused.value)
    assert "is 3x4, not 4096x4096" in str(refused.value)
    with pytest.raises(UsageError, match=r"has no conv1_1\.weight"):
        plan.apply(shallow, {})


def test_layers_that_do_not_fit_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transfer", "vgg11", "vgg16@classes=10"]) == 2
    said = capsys.readouterr().err
    assert "fc8 of vgg11 (weight 1000x4096, bias 1000) does not fit fc8 of vgg16@classes=10" in said
    assert said.count("\n") == 1
    assert run(["transfer", "vgg11", "vgg16@classes=10", "--linear", "2"]) == 0
    assert run(["transfer", "vgg11", "vgg16", "--convolutions", "9"]) == 2
    assert "vgg11 has 8 convolutions; 9 of them cannot be inherited" in capsys.readouterr().err
    assert run(["transfer", "vgg16", "vgg11", "--convolutions", "2"]) == 2
    assert "vgg11 has no layer in the place of conv1_2 of vgg16" in capsys.readouterr().err
    assert run(["transfer", "vgg11", "vgg16", "--linear", "-1"]) == 2


def test_normalization_inherits_with_its_convolution() -> None:
    plan = api.transfer("vgg11_bn", "vgg16_bn", linear=0)
    inherited = [each for each in plan.layers if each.source]
    assert [each.name for each in inherited] == [
        name for conv in FIRST_FOUR for name in (conv, conv.replace("conv", "bn"))
    ]
    assert {tensor.name for tensor in inherited[1].tensors} >= {"bn1_1.running_mean", "bn1_1.weight"}


def test_other_names_of_layers_are_found_by_their_places(torchvision: object) -> None:
    plan = api.transfer("torchvision.models:vgg11", "vgg16")
    assert [each.source for each in plan.layers if each.source][:4] == [
        "features.0",
        "features.3",
        "features.6",
        "features.8",
    ]


def test_forms_tell_the_same() -> None:
    plan = api.transfer("vgg11", "vgg16")
    told = json.loads(views.transfer(plan, Form.JSON))
    assert (
        told["inherited_params"]
        == plan.inherited_params
        == sum(each["params"] for each in told["layers"] if each["source"])
    )
    assert "conv1_1,conv1_1,1792" in views.transfer(plan, Form.CSV)
    for form in (Form.TABLE, Form.MARKDOWN):
        assert "124,603,752 of 138,357,544 parameters inherited: 90.1 %" in views.transfer(plan, form)
