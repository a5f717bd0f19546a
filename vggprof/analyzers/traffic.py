"""Bytes that an operator moves to and from memory, from its operands; what caches save is not deducted."""

from vggprof.analyzers.forward import is_view
from vggprof.analyzers.operators import ALLOCATION, FACTORY, LOOKUP, base, writes_in_place
from vggprof.trace import Operand, Operator, Trace

# Batch norm in training also writes its running statistics, which its schema does not return.
_RUNNING = frozenset({"running_mean", "running_var"})
# Of these only the picked numbers are read, as many as come out.
_PICKS = LOOKUP & frozenset({"embedding", "gather", "index", "_unsafe_index"})


def read_bytes(trace: Trace, op: Operator) -> int:
    """Return the bytes of the tensors that *op* reads, each once; 0 for views and what only fills memory."""
    name = base(op.name)
    if name in FACTORY or is_view(op):
        return 0
    read = {
        (operand.storage, operand.shape): operand for operand in op.inputs if not _overwritten(op, operand)
    }
    picked = sum(operand.nbytes for operand in op.outputs) if name in _PICKS else None
    return sum(_picked(_resident_bytes(trace, operand), operand, picked) for operand in read.values())


def written_bytes(trace: Trace, op: Operator) -> int:
    """Return the bytes that *op* writes, in place or not; 0 for views and bare allocations."""
    if base(op.name) in ALLOCATION or is_view(op):
        return 0
    changed = {operand.storage: operand for operand in op.outputs}
    if writes_in_place(op.name):
        changed.update((operand.storage, operand) for operand in op.inputs if operand.name == "self")
    if _is_training(op):
        changed.update((operand.storage, operand) for operand in op.inputs if operand.name in _RUNNING)
    return sum(_resident_bytes(trace, operand) for operand in changed.values())


def _resident_bytes(trace: Trace, operand: Operand) -> int:
    """Bytes of *operand* that are in memory: an expanded tensor shows the same bytes many times."""
    return min(operand.nbytes, trace.storages[operand.storage].nbytes)


def _picked(nbytes: int, operand: Operand, limit: int | None) -> int:
    return nbytes if limit is None or operand.name not in ("weight", "self") else min(nbytes, limit)


def _overwritten(op: Operator, operand: Operand) -> bool:
    """Whether *op* only writes to *operand*: the target of a copy, or an ``out`` argument."""
    return operand.name == "out" or (base(op.name) == "copy" and operand.name == "self")


def _is_training(op: Operator) -> bool:
    arguments = dict(op.arguments)
    return bool(arguments.get("training", arguments.get("train", False)))
