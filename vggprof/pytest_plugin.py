"""A pytest mark that holds a training to the GPU memory it may take; no GPU is needed, nothing is computed.

::

    @pytest.mark.gpu_memory("8 GiB", batch=32, inputs=(3, 224, 224))
    def test_my_net_fits():
        return MyNet()

    @pytest.mark.gpu_memory(gpu="RTX 3060", arch="vgg16", batch=32)
    def test_vgg16_trains(): ...

The mark says what to fit: the most that the whole process may take, a GPU, or both. What has to fit is named
by ``arch=``, and then checked before the test's own code runs, or it is what the test returns: a torch
module, or an ARCH. (pytest does not let tests yield.) Every mark of a test has to hold. pytest imports this
module whenever it starts, so that all else is imported where a mark is met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, fields
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import pytest

from vggprof.errors import UsageError, VggprofError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vggprof.trace import Setup, Trace

_MARK = "gpu_memory"
_HELP = (
    f"{_MARK}(limit=None, *, gpu=None, arch=None, batch=1, inputs=None, mode='train', optimizer='momentum', "
    "amp='off', allow_tight=False): fail where training takes more GPU memory than limit ('8 GiB') or than "
    "gpu ('RTX 3060') has. What is trained is arch ('vgg16'), or the torch module that the test returns; the "
    "shape of its input, without the batch, is inputs."
)


@dataclass(frozen=True, slots=True)
class _Demand:
    """What one mark demands. Raises UsageError, or TypeError as any call does, for what makes no sense."""

    limit: str | None = None
    _: KW_ONLY
    gpu: str | None = None
    arch: str | None = None
    batch: int = 1
    inputs: tuple[int, ...] | Callable[[int], Tensor | tuple[Any, ...]] | None = None
    mode: str = "train"
    optimizer: str = "momentum"
    amp: str = "off"
    allow_tight: bool = False

    def __post_init__(self) -> None:
        if self.limit is None and self.gpu is None:
            raise UsageError('nothing to fit; give a limit like "8 GiB", or gpu="RTX 3060"')
        for name in ("limit", "gpu", "arch"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise UsageError(f"{name} is a text, not {value!r}")
        if type(self.batch) is not int:
            raise UsageError(f"batch is a whole number, not {self.batch!r}")
        if not (self.inputs is None or callable(self.inputs) or _is_shape(self.inputs)):
            raise UsageError(
                "inputs is the shape of one image, like (3, 224, 224), or a function from the batch to what "
                f"the module gets, not {self.inputs!r}"
            )
        if self.arch is not None and self.inputs is not None:
            raise UsageError(f"inputs is for modules; an ARCH has its own: {self.arch}@input=3x224x224")
        _ = self.setup, self.limit_bytes

    @property
    def setup(self) -> Setup:
        """How what has to fit is run. Raises UsageError for words and batches that make no sense."""
        from vggprof.trace.setup import Amp, Mode, Optimizer, Setup, word

        return Setup(
            batch=self.batch,
            mode=word(Mode, self.mode),
            optimizer=word(Optimizer, self.optimizer),
            amp=word(Amp, self.amp),
        )

    @property
    def limit_bytes(self) -> int | None:
        """Bytes that the process may take. Raises UsageError for what is no size."""
        from vggprof.units import parse_bytes

        return None if self.limit is None else parse_bytes(self.limit)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", _HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a mark that is used in the wrong way, before anything is set up for its test."""
    if item.get_closest_marker(_MARK) is None:
        return
    try:
        nameless = [demand for demand in _demands(item) if demand.arch is None]
    except UsageError as error:
        _fail(error)
    if nameless and not (isinstance(item, pytest.Function) and not iscoroutinefunction(item.obj)):
        _fail(UsageError("only a plain test function can return a module; name what has to fit: arch="))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Check what marks name, and have what the test returns checked by those that name nothing."""
    if item.get_closest_marker(_MARK) is None:
        return
    demands = _demands(item)
    for demand in demands:
        if demand.arch is not None:
            _check(demand, demand.arch)
    nameless = [demand for demand in demands if demand.arch is None]
    if nameless:
        assert isinstance(item, pytest.Function)
        item.obj = _checked(item, item.obj, nameless)


def _checked(
    item: pytest.Function, body: Callable[..., object], demands: list[_Demand]
) -> Callable[..., None]:
    """Return *body* as a test that returns nothing: what it returned has met *demands*."""

    @wraps(body)
    def test(*args: Any, **fixtures: Any) -> None:  # noqa: ANN401 - whatever the test takes
        item.obj = body  # as it was, should the test be run once more
        given = body(*args, **fixtures)
        for demand in demands:
            _check(demand, given)

    return test


def _demands(item: pytest.Item) -> list[_Demand]:
    """Return what the marks of *item* demand, the outermost first. Raises UsageError for a wrong one."""
    marks = reversed(list(item.iter_markers(_MARK)))
    return [_demand(mark) for mark in marks]


def _demand(mark: pytest.Mark) -> _Demand:
    names = [field.name for field in fields(_Demand)]
    for name in mark.kwargs:
        if name not in names:
            raise UsageError(f"there is no {name!r} in {', '.join(names)}{did_you_mean(name, names)}")
    try:
        return _Demand(*mark.args, **mark.kwargs)
    except TypeError as error:
        raise UsageError('one limit is given by place, like "8 GiB", all else by name') from error


def _check(demand: _Demand, given: object) -> None:
    """Fail the test with the verdict where *given* does not meet *demand*."""
    from vggprof import api, views
    from vggprof.target import Target

    try:
        what = _subject(demand, given)
        setup = demand.setup if isinstance(what, str) else None
        gate = api.check(
            what,
            setup,
            Target(gpu=demand.gpu),
            max_memory=demand.limit,
            allow_tight=demand.allow_tight,
        )
    except VggprofError as error:
        _fail(error)
    if not gate.passed:
        pytest.fail(views.check(gate, views.Form.TABLE).rstrip(), pytrace=False)


def _subject(demand: _Demand, given: object) -> str | Trace:
    """Return the ARCH or the trace of the module that a test gave. Raises UsageError for anything else."""
    if isinstance(given, str):
        if demand.inputs is not None:
            raise UsageError(f"inputs is for modules; an ARCH has its own: {given}@input=3x224x224")
        return given
    if not _is_module(given):
        raise UsageError(
            f"the test returned {given!r}; return a torch module or an ARCH, or name what has to fit: arch="
        )
    return _trace(demand, given)


def _trace(demand: _Demand, module: nn.Module) -> Trace:
    from vggprof import api
    from vggprof.tracing import images

    if demand.inputs is None:
        raise UsageError("a module does not say what goes in; give the shape of one: inputs=(3, 224, 224)")
    inputs = demand.inputs(demand.batch) if callable(demand.inputs) else images(demand.batch, demand.inputs)
    setup = demand.setup
    return api.trace(module, inputs, optimizer=setup.optimizer, mode=setup.mode, amp=setup.amp)


def _is_module(given: object) -> TypeGuard[nn.Module]:
    """Whether *given* is a torch module, without importing torch for what is none."""
    return not isinstance(given, type) and hasattr(given, "named_modules")


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and size > 0 for size in value)


def _fail(error: VggprofError) -> NoReturn:
    pytest.fail(f"{_MARK}: {error}", pytrace=False)
