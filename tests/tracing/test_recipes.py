"""What torch answered in one trace is not asked in another."""

import pytest
import torch
from torch import Tensor, nn

from vggprof.trace import Trace
from vggprof.tracing import LiveLoop, recorder, trace_module
from vggprof.tracing.answers import Recipes


class PlusOnes(nn.Module):
    """Adds ones of the dtype that torch gives where none is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, dtype=torch.float32)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.conv(images) + torch.ones(4, 1, 1, device=images.device)
        return features.flatten(1)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Begin with nothing known; return what is asked of torch and can be remembered."""
    monkeypatch.setattr(recorder, "_RECIPES", Recipes())
    keys: list[object] = []

    def keep(self: Recipes, key: object, recipe: object, real: object = Recipes.keep) -> None:
        keys.append(key)
        real(self, key, recipe)  # type: ignore[operator]

    monkeypatch.setattr(Recipes, "keep", keep)
    return keys


def traced(batch: int = 2) -> Trace:
    return trace_module(PlusOnes(), (torch.zeros(batch, 3, 8, 8, dtype=torch.float32),), LiveLoop())


def test_another_trace_asks_nothing_again(asked: list[object]) -> None:
    first = traced()
    number = len(asked)
    assert number > 0
    assert traced() == first
    assert len(asked) == number


def test_another_batch_is_asked_anew(asked: list[object]) -> None:
    traced()
    number = len(asked)
    trace = traced(batch=3)
    assert len(asked) > number
    outputs = {op.outputs[0].shape for op in trace.operators if op.name == "aten.convolution.default"}
    assert outputs == {(3, 4, 6, 6)}


def test_another_default_dtype_is_asked_anew() -> None:
    dtypes = []
    for default in (torch.float32, torch.float64, torch.float32):
        torch.set_default_dtype(default)
        try:
            trace = traced()
        finally:
            torch.set_default_dtype(torch.float32)
        dtypes += [op.outputs[0].dtype for op in trace.operators if op.name == "aten.ones.default"][:1]
    assert dtypes == ["float32", "float64", "float32"]


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggprof.tracing.answers._MOST", 2)
    recipes = Recipes()
    for asked in ("a", "b", "c"):
        recipes.keep(asked, lambda args: asked)  # noqa: B023 - only what is kept is looked at
    assert [recipes.find(asked) is None for asked in ("a", "b", "c")] == [True, True, False]
