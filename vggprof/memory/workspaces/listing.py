"""The cuDNN libraries at hand, and for which torch each of them answers."""

from dataclasses import dataclass

from vggprof.memory.workspaces.launch import find_frontend
from vggprof.memory.workspaces.libraries import CudnnLibrary, find_libraries
from vggprof.memory.workspaces.packages import installed_version
from vggprof.memory.workspaces.targets import TORCH_CUDNN, Choice, choose


@dataclass(frozen=True, slots=True)
class ListedLibrary:
    """One cuDNN at hand, and the torch releases that bring its version."""

    library: CudnnLibrary
    torch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CudnnListing:
    """What is at hand, newest first, and who answers for the installed torch and for each known release."""

    libraries: tuple[ListedLibrary, ...]
    frontend: bool  # whether nvidia-cudnn-frontend is here, without which no library can be asked
    torch: str | None  # the installed one; None where there is none
    choice: Choice  # who answers for it
    releases: tuple[tuple[str, Choice], ...]

    @property
    def answers(self) -> CudnnLibrary | None:
        """The library that answers where no target is named; None where none can be asked."""
        return self.choice.library if self.frontend else None


def list_cudnn() -> CudnnListing:
    """Return the cuDNN libraries that `find_libraries` finds, none of them loaded; raises as it does."""
    libraries = find_libraries()
    return CudnnListing(
        libraries=tuple(ListedLibrary(library, _torch_releases(library)) for library in libraries),
        frontend=find_frontend() is not None,
        torch=installed_version("torch"),
        choice=choose(libraries),
        releases=tuple((torch, choose(libraries, torch=torch)) for torch in TORCH_CUDNN),
    )


def _torch_releases(library: CudnnLibrary) -> tuple[str, ...]:
    """Return the torch releases that bring *library*, oldest first, as far as its version tells."""
    return tuple(torch for torch, wanted in TORCH_CUDNN.items() if Choice(library, wanted).exact)
