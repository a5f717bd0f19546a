"""cuDNN's plans for a convolution, and the order in which torch tries them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from vggprof.memory.workspaces.convolution import CudnnSettings, Pass
from vggprof.memory.workspaces.query import CudnnQuery

# See `bound`.
_PARTIAL_SUMS_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Plan:
    """One way of cuDNN to compute a convolution."""

    name: str  # "eng38_k2=4_k13=0": engine and knobs
    workspace_bytes: int
    notes: tuple[str, ...]  # CUDNN_NUMERICAL_NOTE_* and CUDNN_BEHAVIOR_NOTE_*: "TENSOR_CORE"
    fallback: bool  # from the fallback list, not from the heuristics

    @property
    def engine(self) -> int:
        """Global index of the engine, by which cuDNN knows it within one version and operation."""
        return int(self.name.split("_", 1)[0].removeprefix("eng"))

    @property
    def knobs(self) -> dict[int, int]:
        """Values of the engine's knobs by their type (cudnnBackendKnobType_t)."""
        pairs = (knob.removeprefix("k").split("=") for knob in self.name.split("_")[1:])
        return {int(kind): int(value) for kind, value in pairs}


@dataclass(frozen=True, slots=True)
class Answer:
    """What torch does for one query under one setting: the plans it tries, in order."""

    plans: tuple[Plan, ...]  # not empty
    source: str  # "cuDNN 9.26.0.51 heuristics for 8.6, 28 SMs"
    low_bytes: int
    high_bytes: int

    @property
    def chosen(self) -> Plan:
        """The plan that runs where memory is no concern."""
        return self.plans[0]

    @property
    def nbytes(self) -> int:
        """Workspace of the chosen plan."""
        return self.chosen.workspace_bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """There is nobody to ask, or cuDNN could not say: bounds only."""

    reason: str
    low_bytes: int
    high_bytes: int


Workspaces: TypeAlias = Answer | NoAnswer


def in_torch_order(
    plans: Iterable[Plan],
    query: CudnnQuery,
    settings: CudnnSettings,
    *,
    capability: tuple[int, int],
    cudnn_version: int,
) -> tuple[Plan, ...]:
    """Return the plans torch tries, in order: heuristics, then fallbacks, without those it rules out.

    filterEngineConfigs, plan_errata_exception and run_single_conv in ATen/native/cudnn/Conv_v8.cpp. Versions
    differ in how many they ask for at once, not in the order.
    """
    broken = _broken_engines(query, capability, cudnn_version)
    return tuple(
        plan
        for plan in plans
        if not _filtered(plan, query, settings) and not (broken and plan.engine in broken)
    )


def _filtered(plan: Plan, query: CudnnQuery, settings: CudnnSettings) -> bool:
    """Whether a setting rules *plan* out: filterEngineConfigs."""
    if "DOWN_CONVERT_INPUTS" in plan.notes:
        return True
    if settings.deterministic and "NONDETERMINISTIC" in plan.notes:
        return True
    return query.dtype == "float32" and not settings.allow_tf32 and "TENSOR_CORE" in plan.notes


@dataclass(frozen=True, slots=True)
class _Erratum:
    """An engine that torch knows to be broken, in cuDNN versions from *start* to before *end*."""

    operation: Pass
    engine: int
    start: int
    end: int | None = None
    capability: tuple[int, int] | None = None  # None: all
    only_3d: bool = False


# The rules in torch's plan_errata_exception, read from libtorch_cuda.so: those for 3-D convolutions are in
# 2.11 to 2.15, those for capability 12.0 in 2.14 and 2.15, the first ones that bring a cuDNN they concern.
_ERRATA = (
    _Erratum(Pass.FORWARD, 23, 90800, 91500, only_3d=True),
    _Erratum(Pass.DGRAD, 23, 8000, only_3d=True),
    _Erratum(Pass.FORWARD, 5, 92301, 92400),
    _Erratum(Pass.FORWARD, 58, 92300, capability=(12, 0)),
    _Erratum(Pass.DGRAD, 63, 92300, capability=(12, 0)),
    _Erratum(Pass.WGRAD, 63, 92300, capability=(12, 0)),
)


def _broken_engines(query: CudnnQuery, capability: tuple[int, int], cudnn_version: int) -> frozenset[int]:
    """Return the engines that torch passes over for *query* as known to be broken."""
    return frozenset(
        rule.engine
        for rule in _ERRATA
        if rule.operation is query.operation
        and rule.start <= cudnn_version
        and (rule.end is None or cudnn_version < rule.end)
        and rule.capability in (None, capability)
        and (not rule.only_3d or len(query.x.shape) > 4)
    )


def bound(query: CudnnQuery) -> int:
    """Return bytes above which no workspace of a convolution is expected, with nobody to ask.

    The largest workspaces that heuristics choose hold float32 copies of all three tensors in another layout
    and partial sums of a weight gradient; the tests hold the answers at hand against this bound.
    """
    return query.elements * (8 if query.dtype == "float64" else 4) + _PARTIAL_SUMS_BYTES
