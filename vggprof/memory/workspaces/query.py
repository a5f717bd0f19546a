"""A convolution as cuDNN is asked for it: which of its three operations, on which tensors in which layout."""

import json
from dataclasses import dataclass
from typing import Any

from vggprof.memory.workspaces.convolution import ConvProblem, Pass, Strided
from vggprof.memory.workspaces.formats import cudnn_format, pinned_strides


@dataclass(frozen=True, slots=True)
class CudnnQuery:
    """One question to cuDNN's heuristics; settings that only filter the answer are not part of it.

    *x*, *w* and *y* are input, weight and output of cuDNN's operation, also where one of them is its result.
    Groups need no mention: cuDNN reads them out of the channels.
    """

    operation: Pass
    dtype: str
    x: Strided
    w: Strided
    y: Strided
    padding: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    mode: str  # "A" (which CUDNN_HEUR_MODE_INSTANT means too) or "B"

    def message(self) -> dict[str, Any]:
        """Return the query as the worker reads it."""
        return {
            "operation": self.operation.value,
            "dtype": self.dtype,
            **{name: [tensor.shape, tensor.strides] for name, tensor in self._tensors()},
            "padding": self.padding,
            "stride": self.stride,
            "dilation": self.dilation,
            "mode": self.mode,
        }

    def key(self) -> str:
        """Return a text that is the same for the same query."""
        return json.dumps(self.message(), separators=(",", ":"))

    @property
    def elements(self) -> int:
        """Numbers in all three tensors."""
        return sum(tensor.elements for _, tensor in self._tensors())

    def _tensors(self) -> tuple[tuple[str, Strided], ...]:
        return ("x", self.x), ("w", self.w), ("y", self.y)


def query_of(problem: ConvProblem, operation: Pass, *, x: Strided, w: Strided, y: Strided) -> CudnnQuery:
    """Return the question that torch makes of *problem* and the dense tensors it hands over.

    getTensorDescriptor and build_opgraph in ATen/native/cudnn/Conv_v8.cpp: sizes and strides as they are, but
    for the strides of size-1 axes. Alignment is left out: torch's allocations are aligned to 512 bytes, and
    the heuristics give the same answer for 16 bytes as for 32.
    """
    order = cudnn_format(x, w, dtype=problem.dtype)
    return CudnnQuery(
        operation=operation,
        dtype=problem.dtype,
        x=pinned_strides(x, order),
        w=pinned_strides(w, order),
        y=pinned_strides(y, order),
        padding=problem.padding,
        stride=problem.stride,
        dilation=problem.dilation,
        mode="B" if problem.settings.heuristic_mode_b and not problem.settings.benchmark else "A",
    )
