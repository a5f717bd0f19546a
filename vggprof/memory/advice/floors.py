"""Bounds that hold for certain: the least that a changed training takes, from the trace of another one."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from vggprof.analyzers import block_bytes, layer_stages
from vggprof.analyzers.operators import base
from vggprof.trace import Born, Freed, Kind, Mark, Operator, Phase, Ran, Trace

# What is there when the optimizer steps, whatever was done about activations.
_STAYING = frozenset({Kind.PARAMETER, Kind.BUFFER, Kind.GRADIENT, Kind.OPTIMIZER})


@dataclass(frozen=True, slots=True)
class Moment:
    """What tensors take when one is born."""

    staying: int
    other: int
    fixed: int  # of `other`: copies of parameters and of their gradients, which have the size of these
    fresh: int  # of `staying`: the gradient that the backward pass has just made
    twice: int  # of `other`: what a layer's operator made of one tensor of its size that is still there
    inner: Mapping[str, int]  # of `other`: what stages keep for their own backward pass, which does not run
    inner_fixed: Mapping[str, int]  # of `fixed`, the same
    late: bool  # whether a step has ended already


class Floors:
    """The least of the most that the tensors of a trace take at one moment, and of changes of it."""

    def __init__(self, trace: Trace) -> None:
        watch = _Watch(trace)
        self.moments = tuple(watch.moments())  # every birth
        self.staying_bytes = watch.staying  # that parameters, gradients and state take at the end

    @property
    def live_bytes(self) -> int:
        """The most that all tensors take."""
        return self.least_bytes()

    def least_bytes(
        self, *, pieces: int = 1, in_place: bool = False, checkpointed: Collection[str] = ()
    ) -> int:
        """Return what no run in *pieces*, *in_place* or with stages *checkpointed* gets along without.

        A tensor has a + b x batch bytes, so that in a piece it has no less than its share. From the second
        piece on all that stays is there the whole time, and a gradient is made beside the one that it is
        added to. In place there is one tensor for two of one size. What a stage keeps for its backward pass
        is there at least while that runs.
        """
        return max(
            (
                (moment.staying if pieces == 1 else self.staying_bytes + moment.fresh)
                + moment.fixed
                - _of_stages(moment.inner_fixed, checkpointed)
                + _growing(moment, checkpointed, in_place=in_place) // pieces
                for moment in self.moments
                if pieces == 1 or moment.late
            ),
            default=0,
        )


def _growing(moment: Moment, checkpointed: Collection[str], *, in_place: bool) -> int:
    """Return what may grow with the batch, without what changes may spare."""
    spared = _of_stages(moment.inner, checkpointed) + (moment.twice if in_place else 0)
    return max(moment.other - moment.fixed - spared, 0)


def _of_stages(held: Mapping[str, int], stages: Collection[str]) -> int:
    """Return the bytes of *stages*, where ``stages`` names all."""
    everywhere = "stages" in stages
    return sum(nbytes for stage, nbytes in held.items() if everywhere or stage in stages)


class _Watch:
    """Follows the births and deaths of a trace."""

    def __init__(self, trace: Trace) -> None:
        self.staying = 0
        self._trace = trace
        self._sizes = [block_bytes(storage.nbytes) for storage in trace.storages]
        self._stages = [stage.name for stage in layer_stages(trace)]
        self._stage_of = dict(_inner_storages(trace, self._stages))
        self._twins = _twins(trace)
        self._copies = frozenset(_copies(trace))
        self._alive: set[int] = set()
        self._other = self._fixed = self._twice = 0
        self._inner: Counter[str] = Counter()
        self._inner_fixed: Counter[str] = Counter()

    def moments(self) -> Iterator[Moment]:
        """Yield every birth."""
        running: str | None = None
        late = self._first_step_ends()
        for number, event in enumerate(self._trace.events):
            if isinstance(event, Ran):
                running = self._running(self._trace.operators[event.operator])
            elif isinstance(event, Born):
                self._change(event.storage, 1)
                self._alive.add(event.storage)
                yield self._moment(event.storage, running, late=number > late)
            elif isinstance(event, Freed):
                self._alive.remove(event.storage)
                self._change(event.storage, -1)

    def _moment(self, storage: int, running: str | None, *, late: bool) -> Moment:
        """Return the moment at which *storage* is born, while the backward pass of stage *running* runs."""
        made = self._trace.storages[storage]
        fresh = made.kind is Kind.GRADIENT and made.operator is not None
        backward = fresh and self._trace.operators[made.operator or 0].phase is Phase.BACKWARD
        return Moment(
            staying=self.staying,
            other=self._other,
            fixed=self._fixed,
            fresh=self._sizes[storage] if backward else 0,
            twice=self._twice,
            inner={stage: held for stage, held in self._inner.items() if held and stage != running},
            inner_fixed={stage: held for stage, held in self._inner_fixed.items() if stage != running},
            late=late,
        )

    def _change(self, storage: int, sign: int) -> None:
        """Count *storage*, which is not alive, in or out."""
        size = sign * self._sizes[storage]
        if self._trace.storages[storage].kind in _STAYING:
            self.staying += size
            return
        self._other += size
        fixed = storage in self._copies
        self._fixed += size if fixed else 0
        if storage in self._stage_of:
            inner = self._inner_fixed if fixed else self._inner
            inner[self._stage_of[storage]] += size
        self._twice += size * sum(other in self._alive for other in self._twins.get(storage, ()))

    def _running(self, operator: Operator) -> str | None:
        """Return the stage whose backward pass *operator* is of."""
        if operator.phase is not Phase.BACKWARD or operator.layer is None:
            return None
        return self._stages[operator.layer]

    def _first_step_ends(self) -> int:
        marks = (
            at for at, event in enumerate(self._trace.events) if isinstance(event, Mark) and event.step == 0
        )
        return max(marks, default=-1)


def _twins(trace: Trace) -> dict[int, list[int]]:
    """Return for each storage those of its size that a layer's operator made of it alone, or it of them."""
    twins: defaultdict[int, list[int]] = defaultdict(list)
    for operator in trace.operators:
        made, taken = operator.born, {operand.storage for operand in operator.inputs}
        if operator.layer is not None and len(made) == len(operator.outputs) == len(taken) == 1:
            (one,), (other,) = taken, made
            if trace.storages[one].nbytes == trace.storages[other.storage].nbytes:
                twins[one].append(other.storage)
                twins[other.storage].append(one)
    return twins


def _copies(trace: Trace) -> Iterator[int]:
    """Yield each storage that is a copy, in another type, of what stays, or that such a copy was made of."""
    for operator in trace.operators:
        if base(operator.name) == "_to_copy":
            ends = {operand.storage for operand in (*operator.inputs, *operator.outputs)}
            if any(trace.storages[storage].kind in _STAYING for storage in ends):
                yield from ends


def _inner_storages(trace: Trace, stages: list[str]) -> Iterator[tuple[int, str]]:
    """Yield each activation that the layers of one stage alone make and read in a forward pass."""
    users: defaultdict[int, set[str | None]] = defaultdict(set)
    for operator in trace.operators:
        if operator.phase in (Phase.FORWARD, Phase.LOSS):
            for operand in (*operator.inputs, *operator.outputs):
                users[operand.storage].add(None if operator.layer is None else stages[operator.layer])
    for storage, names in users.items():
        name, *more = names
        if name is not None and not more and trace.storages[storage].kind is Kind.ACTIVATION:
            yield storage, name
