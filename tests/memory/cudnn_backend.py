"""Asks cuDNN's C API the way torch's Conv_v8.cpp does; a second way to the same answers, for the tests.

    python -I -S cudnn_backend.py LIBRARY < requests > replies

Requests and replies are those of the worker, with plans as [engine, workspace bytes, sorted numerical notes].
Unlike the worker it sets what torch sets: CUDNN_HEUR_MODE_INSTANT and tensors aligned to 32 bytes. Numbers
are the values of cudnn_graph.h, which are part of cuDNN 9's ABI.
"""

import ctypes
import json
import sys
from typing import Any, TypeAlias

CUDNN = ctypes.CDLL(sys.argv[1])
POINTER: TypeAlias = ctypes.c_void_p
INT64: TypeAlias = ctypes.c_int64
NOTES = (
    "TENSOR_CORE",
    "DOWN_CONVERT_INPUTS",
    "REDUCED_PRECISION_REDUCTION",
    "FFT",
    "NONDETERMINISTIC",
    "WINOGRAD",
    "WINOGRAD_TILE_4x4",
    "WINOGRAD_TILE_6x6",
    "WINOGRAD_TILE_13x13",
    "STRICT_NAN_PROP",
)
DTYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 9}
# cudnnBackendDescriptorType_t
CONVOLUTION, ENGINE, ENGINE_CONFIG, HEURISTICS, PLAN = 1, 2, 3, 4, 5
FORWARD, WGRAD, DGRAD, GRAPH, TENSOR, DEVICE = 10, 11, 12, 15, 17, 38
# cudnnBackendAttributeType_t
DATA_TYPE, AN_INT64, FLOAT, CONV_MODE, HEUR_MODE, NOTE, DESCRIPTOR, CHAR = 1, 3, 4, 7, 8, 11, 15, 24


class CudnnError(Exception):
    """A call did not succeed."""


def made(kind: int, *attributes: tuple[int, int, Any]) -> POINTER:
    """A finalized descriptor; attributes are (name, type, value or values)."""
    descriptor = empty(kind)
    for name, what, value in attributes:
        array = value if isinstance(value, ctypes.Array) else (type(value) * 1)(value)
        check(CUDNN.cudnnBackendSetAttribute(descriptor, name, what, INT64(len(array)), array))
    check(CUDNN.cudnnBackendFinalize(descriptor))
    return descriptor


def empty(kind: int) -> POINTER:
    descriptor = POINTER()
    check(CUDNN.cudnnBackendCreateDescriptor(kind, ctypes.byref(descriptor)))
    return descriptor


def check(status: int) -> None:
    if status:
        raise CudnnError(status)


def got(descriptor: POINTER, name: int, what: int, array: ctypes.Array[Any]) -> list[Any]:
    """The values of an attribute, at most as many as *array* holds."""
    count = INT64()
    check(
        CUDNN.cudnnBackendGetAttribute(descriptor, name, what, INT64(len(array)), ctypes.byref(count), array)
    )
    return list(array[: count.value])


def int64s(values: list[int]) -> ctypes.Array[INT64]:
    return (INT64 * len(values))(*values)


def tensor(name: str, layout: list[list[int]], dtype: int) -> POINTER:
    shape, strides = layout
    return made(
        TENSOR,
        (901, DATA_TYPE, ctypes.c_int32(dtype)),
        (902, AN_INT64, int64s(shape)),
        (903, AN_INT64, int64s(strides)),
        (906, AN_INT64, INT64(ord(name))),
        (900, AN_INT64, INT64(32)),
    )


def graph(query: dict[str, Any]) -> POINTER:
    dtype = DTYPES[query["dtype"]]
    convolution = made(
        CONVOLUTION,
        (106, AN_INT64, INT64(len(query["padding"]))),
        (100, DATA_TYPE, ctypes.c_int32(1 if query["dtype"] == "float64" else 0)),
        (101, CONV_MODE, ctypes.c_int32(1)),
        (102, AN_INT64, int64s(query["dilation"])),
        (103, AN_INT64, int64s(query["stride"])),
        (104, AN_INT64, int64s(query["padding"])),
        (105, AN_INT64, int64s(query["padding"])),
    )
    kind, base, names = {
        "forward": (FORWARD, 700, "wxy"),
        "dgrad": (DGRAD, 706, "wxy"),
        "wgrad": (WGRAD, 712, "wxy"),
    }[query["operation"]]
    scalar = ctypes.c_double if query["dtype"] == "float64" else ctypes.c_float
    operation = made(
        kind,
        (base, 5 if scalar is ctypes.c_double else FLOAT, scalar(1)),
        (base + 1, 5 if scalar is ctypes.c_double else FLOAT, scalar(0)),
        (base + 2, DESCRIPTOR, convolution),
        *((base + 3 + i, DESCRIPTOR, tensor(name, query[name], dtype)) for i, name in enumerate(names)),
    )
    return made(GRAPH, (801, DESCRIPTOR, operation))


def configs(operations: POINTER, device: POINTER, mode: int) -> list[POINTER]:
    try:
        heuristics = made(
            HEURISTICS,
            (201, DESCRIPTOR, operations),
            (200, HEUR_MODE, ctypes.c_int32(mode)),
            (204, DESCRIPTOR, device),
        )
    except CudnnError:
        return []
    room = (POINTER * 200)(*(empty(ENGINE_CONFIG) for _ in range(200)))
    return [POINTER(config) for config in got(heuristics, 202, DESCRIPTOR, room)]


def plan(config: POINTER, device: POINTER) -> list[Any] | None:
    engine = (POINTER * 1)(empty(ENGINE))
    got(config, 300, DESCRIPTOR, engine)
    index = got(POINTER(engine[0]), 1301, AN_INT64, (INT64 * 1)())[0]
    notes = got(POINTER(engine[0]), 1303, NOTE, (ctypes.c_int32 * 20)())
    try:
        built = made(PLAN, (401, DESCRIPTOR, config), (407, DESCRIPTOR, device))
    except CudnnError:
        return None
    size = got(built, 402, AN_INT64, (INT64 * 1)())[0]
    return [index, size, sorted(NOTES[note] for note in notes)]


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        described = ctypes.create_string_buffer(request["device"].encode())
        device = made(DEVICE, (2702, CHAR, described))
        operations = graph(request["query"])
        found = [*configs(operations, device, 0), *configs(operations, device, 2)]
        plans = [plan(config, device) for config in found]
        print(json.dumps({"plans": [plan for plan in plans if plan]}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
