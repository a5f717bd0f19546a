"""What tests of this room share: the gallery's target, whose cuDNN answers from a file, and its pages."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from vggprof import api
from vggprof.devices import Survey
from vggprof.memory.forecast import Forecast
from vggprof.memory.verdict import Prediction
from vggprof.target import Target
from vggprof.trace import Setup
from vggprof.trace.traces import Traces

GALLERY = Path(__file__).parents[2] / "reports"


@cache
def gallery() -> ModuleType:
    """Return what makes the gallery."""
    spec = importlib.util.spec_from_file_location("gallery_maker", GALLERY / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pinned(gpu: str, gpu_memory: str | None = None) -> Target:
    """Return the gallery's target on another card."""
    target = gallery().PINNED
    assert isinstance(target, Target)
    return replace(target, gpu=gpu, gpu_memory=gpu_memory)


def predicted(arch: str, setup: Setup, target: Target) -> tuple[Prediction, int]:
    """Return what `vggprof memory` predicts, and the largest batch that likely fits."""
    traces = Traces(lambda batch: api.trace_arch(arch, replace(setup, batch=batch)))
    (card,) = target.cards()
    with Forecast(traces, target.software()) as forecast:
        found = forecast.predict(setup.batch, card)
        largest = forecast.largest_batch(card)
        if found.machine.capacity_bytes is not None and setup.batch > largest:
            largest = forecast.largest_batch(card, start=setup.batch)
    return found, largest


@contextmanager
def nobody_to_ask() -> Iterator[None]:
    """Give the same answers on every machine: no GPU, no cuDNN, one torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vggprof.target.survey", lambda: Survey(()))
        patch.setattr("vggprof.target.find_libraries", lambda: ())
        patch.setattr("vggprof.target.installed_version", lambda package: "2.15.0")
        yield
