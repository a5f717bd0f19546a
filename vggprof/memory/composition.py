"""What the peak of a predicted training is made of: kinds, layers, and what cuDNN takes for each pass."""

from collections import defaultdict
from dataclasses import dataclass
from typing import assert_never

from vggprof.memory.allocator.rules import BLOCK_BYTES, round_up
from vggprof.memory.run import Answers, Top, at_peak
from vggprof.memory.timeline import Ask, Timeline
from vggprof.memory.verdict import Prediction
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Workspaces
from vggprof.trace import Kind

# Names of what is at the peak besides the kinds of storages.
WORKSPACES = "workspaces"
SLACK = "slack"


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """What cuDNN takes for one pass of one layer, for the time of the call."""

    layer: str | None
    which: str  # "forward", "dgrad" or "wgrad"
    nbytes: int | None  # None where nobody could be asked
    low_bytes: int
    high_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Composition:
    """What the peak of what is allocated is made of, and what each pass of each layer takes for its call."""

    breakdown_bytes: dict[str, int]  # by kind; they sum to the peak
    layer_bytes: dict[str | None, int]  # by layer; they sum to the peak
    fragmentation_bytes: int  # reserved but not allocated, at that peak
    workspaces: tuple[WorkspaceRow, ...]


def compose(timeline: Timeline, answers: Answers, prediction: Prediction) -> Composition:
    """Say what the peak of *prediction*, made of the same *timeline* and *answers*, consists of."""
    top = at_peak(timeline, answers, prediction.machine, prediction.shown)
    return Composition(
        breakdown_bytes=_by_kind(timeline, top),
        layer_bytes=_by_layer(timeline, top),
        fragmentation_bytes=top.reserved_bytes - prediction.shown.peak_allocated_bytes,
        workspaces=_workspaces(timeline, answers),
    )


def _by_kind(timeline: Timeline, top: Top) -> dict[str, int]:
    """Divide the peak among kinds of storages, workspaces, and what blocks have beyond 512-byte rounding."""
    sums = dict.fromkeys([*(kind.value for kind in Kind), WORKSPACES, SLACK], 0)
    for held in top.held:
        kind = None if held.need is None else timeline.needs[held.need].kind
        rounded = round_up(held.requested_bytes, BLOCK_BYTES)
        sums[WORKSPACES if kind is None else kind.value] += rounded
        sums[SLACK] += held.block_bytes - rounded
    return sums


def _by_layer(timeline: Timeline, top: Top) -> dict[str | None, int]:
    """Divide the peak among layers; None is what belongs to none."""
    layers, operators = timeline.trace.layers, timeline.trace.operators
    sums: defaultdict[str | None, int] = defaultdict(int)
    for held in top.held:
        if held.need is not None:
            layer = timeline.needs[held.need].layer
        else:
            layer = None if held.operator is None else operators[held.operator].layer
        sums[None if layer is None else layers[layer].name] += held.block_bytes
    return dict(sums)


def _workspaces(timeline: Timeline, answers: Answers) -> tuple[WorkspaceRow, ...]:
    """List what each layer's passes take, once however many steps there are."""
    rows: dict[tuple[str | None, Workspace], WorkspaceRow] = {}
    for event in timeline.events:
        if isinstance(event, Ask):
            layer = timeline.trace.operators[event.operator].layer
            name = None if layer is None else timeline.trace.layers[layer].name
            rows.setdefault((name, event.workspace), _row(name, event.workspace, answers[event.workspace]))
    return tuple(rows.values())


def _row(layer: str | None, workspace: Workspace, answer: Workspaces) -> WorkspaceRow:
    which = workspace.query.operation.value
    match answer:
        case Answer(_, source, low, high):
            return WorkspaceRow(layer, which, answer.nbytes, low, high, source)
        case NoAnswer(reason, low, high):
            return WorkspaceRow(layer, which, None, low, high, reason)
        case _:
            assert_never(answer)
