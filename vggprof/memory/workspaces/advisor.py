"""Answers for many convolutions on one device: from the store where they are known, else from cuDNN."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

from vggprof.memory.workspaces import store
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.convolution import Pass, Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.launch import find_frontend, frontend_version
from vggprof.memory.workspaces.libraries import CudnnLibrary
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Plan, Workspaces, bound, in_torch_order
from vggprof.memory.workspaces.process import Failure, Worker
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.targets import Choice

# Libraries asked for a range where the target's own is not at hand: the one that answers and its neighbours.
_MAX_ASKED = 3
# Processes that share the questions to one library, where there are processors for them; two halve the wait
# for a ladder of cards, and each takes a core and some 200 MB of libraries to load.
_PROCESSES = min(2, os.cpu_count() or 1)
# Questions that are worth another process.
_WORTH_ONE_MORE = 8

# The convolution that cuDNN loads itself with ahead of real questions; any would do.
_IMAGE, _FILTER = Strided.contiguous((1, 64, 56, 56)), Strided.contiguous((64, 64, 3, 3))
_SMALL = CudnnQuery(Pass.FORWARD, "float32", _IMAGE, _FILTER, _IMAGE, (1, 1), (1, 1), (1, 1), "A")

_Answers: TypeAlias = dict[CudnnQuery, tuple[Plan, ...] | Failure]


class Advisor:
    """Asks the library of *choice*; close it, or use it in a with statement.

    Worker processes start with the first questions that the store cannot answer, or with `start`, and stay
    for the next ones.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self._workers: dict[str, tuple[Worker, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes."""
        for workers in self._workers.values():
            for worker in workers:
                worker.close()
        self._workers.clear()

    def start(self, device: DeviceProperties) -> None:
        """Start the processes that will be asked about *device*, ahead of the first question, if any will.

        Waits for nothing: they load their libraries while something else is done.
        """
        if self._nobody(device) is None and self.choice.recorded is None:
            for worker in self._workers_of(self._asked()[0]):
                worker.start(device.cudnn_json(), _SMALL)

    def answers(self, asked: Iterable[Workspace], device: DeviceProperties) -> dict[Workspace, Workspaces]:
        """Return an answer for each of *asked*; the same query under several settings is put once."""
        wanted = tuple(dict.fromkeys(asked))
        nobody = self._nobody(device)
        if nobody is not None:
            return {ask: NoAnswer(nobody, 0, bound(ask.query)) for ask in wanted}
        queries = tuple(dict.fromkeys(ask.query for ask in wanted))
        tables = [(library, self._plans(library, queries, device)) for library in self._asked()]
        return {ask: _judged(ask, tables, device, exact=self.choice.exact) for ask in wanted}

    def _nobody(self, device: DeviceProperties) -> str | None:
        """Why nobody can be asked about *device*; None where somebody can."""
        if not device.askable:
            return f"cuDNN answers for compute capability 7.5 and newer; {device.name} has {device.sm}"
        if self.choice.library is None:
            return self.choice.note or "no cuDNN"
        if self.choice.recorded is None and find_frontend() is None:
            return "nvidia-cudnn-frontend is not installed here (it exists for Linux and Windows)"
        return None

    def _asked(self) -> tuple[CudnnLibrary, ...]:
        """Return the library that answers, then others for a range."""
        assert self.choice.library is not None
        return (self.choice.library, *self.choice.others)[:_MAX_ASKED]

    def _plans(
        self, library: CudnnLibrary, queries: Sequence[CudnnQuery], device: DeviceProperties
    ) -> _Answers:
        """Return what *library* proposes for each of *queries*."""
        described, recorded = device.cudnn_json(), self.choice.recorded
        if recorded is not None:
            return recorded.find(described, queries)
        context = f"{library.version} {frontend_version()} {described}"
        keys = {query: query.key() for query in queries}
        known = store.find(context, list(keys.values()))
        missing = [query for query in queries if keys[query] not in known]
        fresh = self._fresh(library, missing, described)
        store.keep(context, {keys[q]: plans for q, plans in fresh.items() if not isinstance(plans, Failure)})
        return {query: fresh[query] if query in fresh else known[keys[query]] for query in queries}

    def _fresh(self, library: CudnnLibrary, queries: Sequence[CudnnQuery], described: str) -> _Answers:
        """Return what *library* answers; its processes share the questions."""
        if not queries:
            return {}
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only where there is something to ask

        waiting = deque(queries)
        answered: _Answers = {}

        def ask(worker: Worker) -> None:
            with suppress(IndexError):  # the other one took the last
                while waiting:
                    query = waiting.popleft()
                    answered[query] = worker.ask(described, query)

        workers = self._workers_of(library)[: -(-len(queries) // _WORTH_ONE_MORE)]
        with ThreadPoolExecutor(_PROCESSES) as pool:
            try:
                for asking in [pool.submit(ask, worker) for worker in workers]:
                    asking.result()
            except BaseException:  # interrupted: the threads end when their processes do
                waiting.clear()
                self.close()
                raise
        return answered

    def _workers_of(self, library: CudnnLibrary) -> tuple[Worker, ...]:
        if library.version not in self._workers:
            self._workers[library.version] = tuple(Worker(library) for _ in range(_PROCESSES))
        return self._workers[library.version]


def _judged(
    ask: Workspace,
    tables: Sequence[tuple[CudnnLibrary, _Answers]],
    device: DeviceProperties,
    *,
    exact: bool,
) -> Workspaces:
    """Return the first library's answer, with a range over all of them where it is not the target's."""
    library, table = tables[0]
    order = _ordered(ask, library, table, device)
    if isinstance(order, Failure):
        return NoAnswer(order.reason, 0, bound(ask.query))
    others = [_ordered(ask, other, plans, device) for other, plans in tables[1:]]
    chosen = [plans[0].workspace_bytes for plans in (order, *others) if not isinstance(plans, Failure)]
    source = f"cuDNN {library.version} heuristics for {device.name} ({device.sm})"
    if exact or len(chosen) == 1:
        return Answer(order, source, chosen[0], chosen[0])
    return Answer(order, source, min(chosen), max(chosen))


def _ordered(
    ask: Workspace,
    library: CudnnLibrary,
    table: _Answers,
    device: DeviceProperties,
) -> tuple[Plan, ...] | Failure:
    """Return the plans in torch's order; a Failure where none is left."""
    plans = table[ask.query]
    if isinstance(plans, Failure):
        return plans
    major, minor, patch = library.numbers[:3]
    order = in_torch_order(
        plans,
        ask.query,
        ask.settings,
        capability=device.capability,
        cudnn_version=major * 10_000 + minor * 100 + patch,
    )
    return order or Failure(f"cuDNN {library.version} has no plan that torch would run")
