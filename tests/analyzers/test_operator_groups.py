"""The table of operators against torch's own list of them."""

from collections import Counter

import pytest
import torch
from torch.utils.flop_counter import flop_registry

from vggprof.analyzers import operators
from vggprof.analyzers.macs import _RULES as MAC_RULES
from vggprof.analyzers.operators import WITHOUT_MACS, base, packet, writes_in_place

GROUPS = {name: group for name, group in vars(operators).items() if isinstance(group, frozenset)}
DISJOINT = {name: group for name, group in GROUPS.items() if name not in ("ALLOCATION", "WITHOUT_MACS")}


@pytest.fixture(scope="module")
def aten() -> frozenset[str]:
    """Return the names of all aten operators of this torch, as our table writes them."""
    schemas = (schema.name for schema in torch._C._jit_get_all_schemas() if schema.name.startswith("aten::"))
    return frozenset(base(f"aten.{name.removeprefix('aten::')}.default") for name in schemas)


@pytest.mark.parametrize("group", GROUPS)
def test_every_name_is_an_aten_operator(group: str, aten: frozenset[str]) -> None:
    assert GROUPS[group]
    assert GROUPS[group] <= aten


def test_every_mac_rule_is_for_an_aten_operator(aten: frozenset[str]) -> None:
    assert set(MAC_RULES) <= aten


def test_nothing_that_torch_counts_is_declared_free() -> None:
    counted = {
        base(str(target)) for target in flop_registry if isinstance(target, torch._ops.OpOverloadPacket)
    }
    assert "convolution" in counted
    assert not counted & WITHOUT_MACS


def test_no_operator_is_in_two_groups() -> None:
    assert not [name for name, count in Counter(n for g in DISJOINT.values() for n in g).items() if count > 1]
    assert not set(MAC_RULES) & WITHOUT_MACS
    assert operators.ALLOCATION <= operators.FACTORY


def test_names_lose_their_forms() -> None:
    assert packet("aten.relu_.default") == "relu_"
    assert [base(f"aten.{name}.x") for name in ("relu", "relu_", "_foreach_relu_")] == ["relu"] * 3
    assert base("aten.__and__.Tensor") == "__and__"
    assert packet("torchvision.nms.default") == "torchvision.nms"
    assert writes_in_place("aten.relu_.default")
    assert not writes_in_place("aten.__and__.Tensor")
