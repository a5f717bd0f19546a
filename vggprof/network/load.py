"""ARCH to a Network: the one way from a name to a module on meta."""

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import assert_never

from torch import nn

from vggprof.errors import ArchError, SpecError, UsageError
from vggprof.network.factory import build_from_factory
from vggprof.network.from_spec import build, shape_of
from vggprof.spec import read_spec
from vggprof.spec.arch import Arch, FactoryArch, ShippedArch, SpecFileArch
from vggprof.spec.editing import apply_edits


@dataclass(frozen=True, slots=True)
class Network:
    """A module on meta, in training mode, and what it takes."""

    name: str  # of the spec, or of the factory's function
    module: nn.Module
    input_shape: tuple[int, ...]  # of one image, without the batch: channels, height, width
    source: str  # where the architecture is from: what the spec cites, or the factory and its version


def load(arch: Arch) -> Network:
    """Return the network that *arch* names, with every parameter and buffer on meta.

    Raises SpecError for a spec with problems, UsageError for a spec file that cannot be read or does not have
    a parameter or that its edits do not fit, ArchError for an edit with which it cannot be built, and for a
    factory that cannot be found or fails.
    """
    match arch:
        case ShippedArch() | SpecFileArch():
            try:
                return _of_spec(arch)
            except SpecError as error:
                raise _blamed(arch, error) from error
        case FactoryArch():
            return Network(arch.function, build_from_factory(arch), arch.input_shape, _origin(arch))
        case _:
            assert_never(arch)


def _of_spec(arch: ShippedArch | SpecFileArch) -> Network:
    spec = apply_edits(arch.edits, read_spec(arch.file, dict(arch.parameters)), shape_of)
    return Network(spec.name, build(spec), spec.input, spec.source or spec.file)


def _blamed(arch: ShippedArch | SpecFileArch, error: SpecError) -> UsageError:
    """Return *error* as that of the edit from which on *arch* cannot be built; itself for a wrong spec."""
    for count in reversed(range(len(arch.edits))):
        try:
            network = _of_spec(replace(arch, edits=arch.edits[:count]))
        except UsageError:
            continue
        why = "; ".join(problem.message for problem in error.problems)
        return ArchError(f"edit {arch.edits[count].text!r}: {network.name} cannot be built with it: {why}")
    return error


def _origin(arch: FactoryArch) -> str:
    """Return the factory's address, with the version of the distribution that it is installed from."""
    address = f"{arch.place}:{arch.function}"
    if arch.file is not None:
        return address
    top = arch.place.partition(".")[0]
    try:
        return f"{address}, {top} {version(top)}"
    except PackageNotFoundError:
        return address
