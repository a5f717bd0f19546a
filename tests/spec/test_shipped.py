"""The shipped specs: found by every name they have, listed without their layers, each with its source."""

import subprocess
import sys

import pytest

from vggprof.errors import ArchError
from vggprof.spec import aliases, find_shipped, read_spec, shipped_names, summaries
from vggprof.spec.shipped import Summary


def test_all_that_must_be_there() -> None:
    assert set(shipped_names()) >= {
        *("lenet5", "alexnet", "alexnet-2012", "alexnet-d2l"),
        *("vgg11", "vgg11-lrn", "vgg13", "vgg16-1x1", "vgg16", "vgg19"),
        *("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "vgg11-d2l"),
        *("nin", "googlenet", "resnet18", "resnet50", "mobilenet_v2"),
    }
    assert list(shipped_names()) == sorted(shipped_names())


def test_the_vgg_papers_letters() -> None:
    letters = {alias: name for alias, name in aliases().items() if alias.startswith("vgg-")}
    assert letters == {
        "vgg-a": "vgg11",
        "vgg-a-lrn": "vgg11-lrn",
        "vgg-b": "vgg13",
        "vgg-c": "vgg16-1x1",
        "vgg-d": "vgg16",
        "vgg-e": "vgg19",
    }


def test_no_alias_hides_a_name_or_another_alias() -> None:
    said = [alias for summary in summaries() for alias in summary.aliases]
    assert len(said) == len(set(said))
    assert not set(said) & set(shipped_names())


@pytest.mark.parametrize("name", shipped_names())
def test_its_summary_is_what_reading_it_gives(name: str) -> None:
    spec = read_spec(find_shipped(name))
    (summary,) = (summary for summary in summaries() if summary.name == name)
    assert summary == Summary(name, spec.title, spec.source, summary.aliases, spec.input, spec.parameters)
    assert spec.title
    assert spec.source
    assert dict(spec.parameters)["classes"] in {10, 1000}


@pytest.mark.parametrize("name", shipped_names())
def test_parameters_are_overridden(name: str) -> None:
    spec = read_spec(find_shipped(name), {"classes": "7", "input": "2x100x90"})
    assert spec.input == (2, 100, 90)
    assert dict(spec.parameters)["classes"] == 7
    assert spec != read_spec(find_shipped(name))


def test_found_by_alias() -> None:
    assert find_shipped("vgg-d").name == "vgg16.yaml"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ArchError, match=r"there is no spec called 'alexnt'.*did you mean 'alexnet'"):
        find_shipped("alexnt")


def test_the_list_needs_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys; from vggprof.spec import summaries, aliases; "
        "print(len(summaries()), len(aliases()), sorted({'torch', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split(maxsplit=2) == [str(len(shipped_names())), str(len(aliases())), "[]\n"]


def test_reading_a_spec_needs_no_torch() -> None:
    code = (
        "import sys; from vggprof.spec import find_shipped, read_spec; "
        "print(read_spec(find_shipped('vgg16')).name, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["vgg16", "False"]
