"""Asks cuDNN, without a GPU, how it would run convolutions; a process of its own that knows no vggprof.

    python -I -S worker.py FRONTEND LIBRARY [PRELOAD...]

FRONTEND is the compiled half of nvidia-cudnn-frontend, loaded alone: its Python half would import torch, and
with it a second cuDNN. LIBRARY is the libcudnn to ask. PRELOAD are libraries that it may not find by itself.

The first line on stdout is ``{"cudnn": 92600}``; then every line on stdin is a request and gets one line:

    {"id": 7, "device": "<device properties as JSON>", "query": {"operation": "dgrad", "dtype": "float32",
     "x": [shape, strides], "w": [...], "y": [...], "padding": [1, 1], "stride": [1, 1], "dilation": [1, 1],
     "mode": "A"}}
    {"id": 7, "plans": [[name, workspace bytes, notes, is a fallback], ...]} or {"id": 7, "error": "..."}
"""

import ctypes
import importlib.util
import json
import sys
from types import ModuleType
from typing import Any, Protocol

_DTYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BFLOAT16", "float64": "DOUBLE"}
_RESULT = {"forward": "y", "dgrad": "x", "wgrad": "w"}


class Note(Protocol):
    """What an engine does to numbers (CUDNN_NUMERICAL_NOTE_*), or how it behaves (CUDNN_BEHAVIOR_NOTE_*)."""

    @property
    def name(self) -> str:
        """Its name."""


class Graph(Protocol):
    """What is used of the frontend's graph."""

    def create_execution_plans(self, modes: list[object]) -> None:
        """Add the plans that the heuristics propose."""

    def get_execution_plan_count(self) -> int:
        """How many there are."""

    def build_plan_at_index(self, index: int) -> None:
        """Build one; raises where it is not supported or filtered out. Building it again costs nothing."""

    def get_workspace_size_plan_at_index(self, index: int) -> int:
        """Bytes that a built plan needs."""

    def get_plan_name_at_index(self, index: int) -> str:
        """Engine and knobs."""

    def get_behavior_notes_for_plan_at_index(self, index: int) -> list[Note]:
        """Return how a built plan behaves."""

    def deselect_numeric_notes(self, notes: list[Note]) -> None:
        """Filter out the plans that have one of *notes*."""


class Asker:
    """One loaded cuDNN and what was learned about its engines."""

    def __init__(self, frontend: str, library: str) -> None:
        self.module = _load(frontend)
        handle = ctypes.CDLL(library)._handle
        self.module._set_dlhandle_cudnn(ctypes.cast(handle, ctypes.c_void_p).value)
        self._graph = getattr(self.module, "backend_graph", None) or self.module.pygraph  # the older name
        self._notes: list[Note] = list(self.module.numerical_note.__members__.values())
        self._devices: dict[str, object] = {}
        self._known: dict[tuple[str, str, str], list[str]] = {}

    def plans(self, device: str, query: dict[str, Any]) -> list[list[Any]]:
        """Return the plans for *query* in the order cuDNN proposes them: heuristics, then fallbacks.

        A plan that cuDNN proposes but cannot build is left out, as it is passed over at run time.
        """
        if device not in self._devices:
            self._devices[device] = self.module.create_device_properties(device)
        graph, first_fallback = self._proposed(device, query)
        indices = [index for index in range(graph.get_execution_plan_count()) if _builds(graph, index)]
        names = {index: graph.get_plan_name_at_index(index) for index in indices}
        fresh = {_engine_key(query, name): index for index, name in names.items()}
        fresh = {key: index for key, index in fresh.items() if key not in self._known}
        numerical = self._numerical_notes(device, query, list(fresh.values()))
        for key, index in fresh.items():
            behavior = {note.name for note in graph.get_behavior_notes_for_plan_at_index(index)}
            self._known[key] = sorted(behavior | numerical.get(index, set()))
        return [
            [
                names[index],
                graph.get_workspace_size_plan_at_index(index),
                self._known[_engine_key(query, names[index])],
                index >= first_fallback,
            ]
            for index in indices
        ]

    def _proposed(self, device: str, query: dict[str, Any]) -> tuple[Graph, int]:
        """Return a graph with all plans proposed, none built, and the index of the first fallback."""
        graph = self._operation(device, query)
        modes = self.module.heur_mode
        failure: Exception | None = None
        try:
            graph.create_execution_plans([getattr(modes, query["mode"])])
        except Exception as error:  # no heuristics for this one; there may be fallbacks
            failure = error
        first_fallback = graph.get_execution_plan_count()
        try:
            graph.create_execution_plans([modes.FALLBACK])
        except Exception:
            if failure is not None:
                raise failure from None
        return graph, first_fallback

    def _operation(self, device: str, query: dict[str, Any]) -> Graph:
        """Return the validated graph of one convolution; torch computes in float32 except for float64."""
        kinds = self.module.data_type
        dtype = getattr(kinds, _DTYPES[query["dtype"]])
        compute = kinds.DOUBLE if query["dtype"] == "float64" else kinds.FLOAT
        graph = self._graph(
            name="conv",
            io_data_type=dtype,
            intermediate_data_type=compute,
            compute_data_type=compute,
            device_property=self._devices[device],
        )
        result = _RESULT[query["operation"]]
        x, w, y = (
            None
            if name == result
            else graph._make_tensor(dim=query[name][0], stride=query[name][1], data_type=dtype, name=name)
            for name in "xwy"
        )
        geometry = {key: query[key] for key in ("padding", "stride", "dilation")}
        match result:
            case "y":
                output = graph.conv_fprop(image=x, weight=w, **geometry)
            case "x":
                output = graph.conv_dgrad(loss=y, filter=w, **geometry)
            case _:
                output = graph.conv_wgrad(image=x, loss=y, **geometry)
        output.set_output(True)
        output.set_dim(query[result][0])
        output.set_stride(query[result][1])
        graph.validate()
        graph.build_operation_graph()
        checked: Graph = graph
        return checked

    def _numerical_notes(self, device: str, query: dict[str, Any], indices: list[int]) -> dict[int, set[str]]:
        """Return the names of the numerical notes of the plans at *indices*, for those that have any.

        The frontend filters plans by a note but does not tell a plan's notes, so each note is filtered out
        in turn and the plans that go have it. What went with one note is gone for the next ones: going
        through the notes in both directions gives each plan's first and last, and what may lie between is
        asked one by one.
        """
        first = self._first_notes(device, query, indices, self._notes)
        last = self._first_notes(device, query, list(first), self._notes[::-1])
        has = {index: {first[index].name, last[index].name} for index in first}
        spans = [(self._notes.index(first[index]), self._notes.index(last[index])) for index in first]
        for position in {between for start, end in spans for between in range(start + 1, end)}:
            note = self._notes[position]
            for index in self._first_notes(device, query, list(first), [note]):
                has[index].add(note.name)
        return has

    def _first_notes(
        self, device: str, query: dict[str, Any], indices: list[int], notes: list[Note]
    ) -> dict[int, Note]:
        """Return the first of *notes* that each plan has, for the plans at *indices* that have any."""
        if not indices:
            return {}
        graph, _ = self._proposed(device, query)
        first: dict[int, Note] = {}
        for note in notes:
            graph.deselect_numeric_notes([note])
            left = [index for index in indices if index not in first]
            first |= {index: note for index in left if not _builds(graph, index)}
        return first


def _engine_key(query: dict[str, Any], name: str) -> tuple[str, str, str]:
    """Return what an engine's notes depend on."""
    return query["operation"], query["dtype"], name.split("_", 1)[0]


def _builds(graph: Graph, index: int) -> bool:
    try:
        graph.build_plan_at_index(index)
    except Exception:  # not supported after all, or filtered out
        return False
    return True


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_compiled_module", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(frontend: str, library: str, *preload: str) -> None:
    """Answer requests until stdin ends."""
    for path in preload:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    asker = Asker(frontend, library)
    _say({"cudnn": asker.module.backend_version()})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            plans = asker.plans(request["device"], request["query"])
        except Exception as error:  # cuDNN has no answer; the next question may have one
            _say({"id": request["id"], "error": str(error)[:500]})
        else:
            _say({"id": request["id"], "plans": plans})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
