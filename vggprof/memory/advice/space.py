"""What can be changed about a training, and every combination of it from the cheapest on."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, product

from vggprof.analyzers import CLASSIFIER, layer_stages, operator_macs, tensor_memory
from vggprof.analyzers.forward import forward_operators
from vggprof.memory.advice.changes import (
    Autocast,
    BenchmarkOff,
    Case,
    Change,
    ChannelsLast,
    Checkpoint,
    DeterministicOff,
    Expandable,
    FreezeBackbone,
    InPlace,
    Lighter,
    MaxSplit,
    Pieces,
    Price,
    SetToNone,
    cost,
    price,
)
from vggprof.memory.allocator.config import UNLIMITED
from vggprof.trace import Amp, Dtype, Layout, Optimizer, Setup, Trace, ZeroGrad

# More pieces of a batch are not tried: a trace holds each of them.
MAX_PIECES = 16
# torch refuses sizes up to 20; what is tried stands for "most activations" and "only large ones".
_SPLIT_MIB = (128, 512)
# NVIDIA's CUDA programming guide, table of arithmetic throughput: bfloat16 from 8.0 on.
_FIRST_WITH_BF16 = (8, 0)

Axis = tuple[Change, ...]

# Optimizers by the tensors of state that they keep for a parameter (torch.optim), least first.
_STATE = {
    Optimizer.SGD: 0,
    Optimizer.MOMENTUM: 1,
    Optimizer.RMSPROP: 1,
    Optimizer.ADAGRAD: 1,
    Optimizer.ADAM: 2,
    Optimizer.ADAMW: 2,
}
_LIGHTER = (Optimizer.MOMENTUM, Optimizer.SGD)


@dataclass(frozen=True, slots=True)
class Space:
    """What is tried: combinations of at most one change an axis."""

    axes: tuple[Axis, ...]

    @property
    def singles(self) -> tuple[Change, ...]:
        """Every change, the cheapest first."""
        return tuple(sorted(chain(*self.axes), key=lambda change: cost((change,))))

    def combinations(self) -> Iterator[tuple[Change, ...]]:
        """Yield every combination of one change or more, a cheaper one before a dearer one."""
        dear = [axis for axis in self.axes if price(axis[0]) >= Price.MACS]
        inner = _choices(axis for axis in self.axes if axis not in dear)
        outer = sorted(_choices(dear), key=cost)
        for _, group in groupby(outer, key=lambda changes: cost(changes)[:2]):
            both = [(*few, *many) for few, many in product(group, inner)]
            yield from (changes for changes in sorted(both, key=cost) if changes)


def _choices(axes: Iterable[Axis]) -> list[tuple[Change, ...]]:
    """Return every choice of at most one change an axis."""
    taken = ([(), *((change,) for change in axis)] for axis in axes)
    return [tuple(chain.from_iterable(choice)) for choice in product(*taken)]


def space_of(case: Case, trace: Trace, capability: tuple[int, int], *, retraced: bool) -> Space:
    """Return what can be changed about *case*, of which *trace* is, on a GPU of *capability*.

    Without *retraced* no other setup can be traced, and only settings change.
    """
    splittable = case.allocator.max_split_bytes == UNLIMITED and not case.allocator.expandable_segments
    growing = () if case.allocator.expandable_segments else (Expandable(),)
    settings: list[Axis] = [
        (*growing, *(map(MaxSplit, _SPLIT_MIB) if splittable else ())),
        (BenchmarkOff(),) if case.settings.benchmark else (),
        (DeterministicOff(),) if case.settings.deterministic else (),
    ]
    setups = _setups(case.setup, trace, capability) if retraced else []
    return Space(tuple(filter(None, [*settings, *setups])))


def _setups(setup: Setup, trace: Trace, capability: tuple[int, int]) -> list[Axis]:
    """Return the axes of other setups."""
    axes: list[Axis] = [
        () if setup.inplace else (InPlace(),),
        (ChannelsLast(),) if setup.layout is Layout.CONTIGUOUS else (),
        _pieces(trace),
        _autocast(setup, capability),
    ]
    if setup.training:
        axes += [
            (SetToNone(),) if setup.zero_grad is ZeroGrad.ZERO else (),
            _checkpoints(trace) if setup.checkpoint is None else (),
            _optimizers(setup.optimizer),
            (FreezeBackbone(),) if setup.freeze is None else (),
        ]
    return axes


def _autocast(setup: Setup, capability: tuple[int, int]) -> Axis:
    """Return bf16, or fp16 on GPUs without it: it takes no more memory, and gradients need no scaling."""
    if setup.amp is not Amp.OFF or setup.dtype is not Dtype.FP32:
        return ()
    return (Autocast(Amp.BF16 if capability >= _FIRST_WITH_BF16 else Amp.FP16),)


def _optimizers(asked: Optimizer) -> Axis:
    if asked is Optimizer.CUSTOM:
        return ()
    return tuple(Lighter(optimizer) for optimizer in _LIGHTER if _STATE[optimizer] < _STATE[asked])


def _pieces(trace: Trace) -> Axis:
    batch = trace.setup.batch
    batch_norm = trace.setup.training and any(
        "batch_norm" in operator.name and "no_training" not in operator.name
        for operator in forward_operators(trace)
    )
    counts = range(2, min(batch, MAX_PIECES) + 1)
    return tuple(Pieces(count, batch_norm) for count in counts if batch % count == 0)


def _checkpoints(trace: Trace) -> Axis:
    """Return each stage for itself and all of them; the classifier keeps next to nothing."""
    macs: defaultdict[str, int] = defaultdict(int)
    stages = [stage.name for stage in layer_stages(trace)]
    for operator in forward_operators(trace):
        if operator.layer is not None:
            macs[stages[operator.layer]] += operator_macs(operator) or 0
    names: Sequence[str] = sorted(
        (name for name in macs if name != CLASSIFIER), key=lambda name: (len(name), name)
    )
    every = Checkpoint(("stages",), sum(macs[name] for name in names), CLASSIFIER in macs)
    return (*(Checkpoint((name,), macs[name]) for name in names), every) if len(names) > 1 else (every,)


def stage_bytes(trace: Trace) -> dict[str, int]:
    """Return the bytes of the tensors of each stage of *trace* at their peak."""
    layer_bytes = tensor_memory(trace).layer_bytes
    sums: defaultdict[str, int] = defaultdict(int)
    for layer, stage in zip(trace.layers, layer_stages(trace), strict=True):
        sums[stage.name] += layer_bytes.get(layer.name, 0)
    return sums
