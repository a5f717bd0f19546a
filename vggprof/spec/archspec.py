"""ArchSpec: a spec file as a value."""

from dataclasses import dataclass, field

from vggprof.spec.ops import Layer

InputShape = tuple[int, int, int]  # channels, height, width
ParameterValue = int | float


@dataclass(frozen=True, slots=True)
class ArchSpec:
    """A network as its spec says it; blocks, defaults and parameters are resolved.

    *source* says where the architecture was published; *file* is where the spec was read.
    """

    name: str
    title: str
    source: str
    input: InputShape
    parameters: tuple[tuple[str, ParameterValue], ...]
    layers: tuple[Layer, ...]
    file: str = field(compare=False)
