"""What one call of an operator does to memory, in order: more than its outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from vggprof.memory.workspaces.convolution import CudnnSettings, Strided
from vggprof.memory.workspaces.formats import MemoryFormat, empty, is_contiguous
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.trace import ITEM_BYTES, Shape


@dataclass(frozen=True, slots=True)
class Take:
    """Memory that the call takes for itself; `Give` of the same name returns it."""

    name: str  # unique in the call: "copy of weight"
    nbytes: int
    source: str  # the rule, or library and version


@dataclass(frozen=True, slots=True)
class Give:
    """Memory that `Take` took goes back."""

    name: str


@dataclass(frozen=True, slots=True)
class Output:
    """The operator's output at *index* is allocated now."""

    index: int


@dataclass(frozen=True, slots=True)
class Workspace:
    """Memory that cuDNN asks for, taken and given back at once: as much as the first plan that fits needs.

    Plans stand in the answer to *query* under *settings*; torch passes over a plan whose workspace cannot be
    allocated, and remembers per thread the plan that ran for the next call with the same query.
    """

    query: CudnnQuery
    settings: CudnnSettings


@dataclass(frozen=True, slots=True)
class Unknown:
    """Memory taken and given back at once of which only bounds are known."""

    name: str
    low_bytes: int
    high_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Memory that the first call takes for good, and every later one with the same *key* finds there.

    One for each thread: autograd's backward thread has library handles of its own.
    """

    key: str
    nbytes: int
    source: str


Action: TypeAlias = Take | Give | Output | Workspace | Unknown | Keep
Script: TypeAlias = tuple[Action, ...]


@dataclass(slots=True)
class Tape:
    """Collects the actions of a call while its rule walks through what torch does."""

    dtype: str
    actions: list[Action] = field(default_factory=list)

    def output(self, index: int, shape: Shape, order: MemoryFormat) -> Strided:
        """Note that an output is allocated; return its layout."""
        self.actions.append(Output(index))
        return empty(shape, order)

    def take(self, name: str, nbytes: int, source: str) -> None:
        """Note memory that is taken; nothing where it is no bytes, as the allocator does nothing then."""
        if nbytes:
            self.actions.append(Take(name, nbytes, source))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Give back, last first, what is taken inside and not given back, as the end of a C++ block does."""
        start = len(self.actions)
        yield
        inside = self.actions[start:]
        given = {action.name for action in inside if isinstance(action, Give)}
        taken = [action.name for action in inside if isinstance(action, Take)]
        self.actions += [Give(name) for name in reversed(taken) if name not in given]

    def contiguous(self, tensor: Strided, order: MemoryFormat, *, name: str) -> Strided:
        """Return *tensor* dense in *order*, noting the copy where it takes one."""
        return tensor if is_contiguous(tensor, order) else self.copy(tensor, order, name=name)

    def copy(self, tensor: Strided, order: MemoryFormat, *, name: str) -> Strided:
        """Note a copy of *tensor* in *order*; return its layout."""
        nbytes = tensor.elements * ITEM_BYTES[self.dtype]
        self.take(f"copy of {name}", nbytes, f"{name} is not {order.value}, so torch copies it for the call")
        return empty(tensor.shape, order)
