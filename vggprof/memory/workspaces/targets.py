"""Which cuDNN a prediction is about, and which of those at hand answers for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from vggprof.errors import UsageError
from vggprof.memory.workspaces.libraries import OLDEST_ASKABLE, PATH_VARIABLE, CudnnLibrary
from vggprof.memory.workspaces.packages import installed_version
from vggprof.memory.workspaces.recorded import Recorded

# What `pip install torch` brings on Linux: the requirement nvidia-cudnn-cu13 of each release's wheel (2.13:
# its release compatibility matrix). Builds for CUDA 12.6 bring 9.10.2.21.
TORCH_CUDNN = {
    "2.11": "9.19.0.56",
    "2.12": "9.20.0.48",
    "2.13": "9.20.0.48",
    "2.14": "9.24.0.43",
    "2.15": "9.26.0.51",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The library that answers for a target, and what is to be said about it."""

    library: CudnnLibrary | None  # None: nobody can be asked
    wanted: str | None  # the target's version, or its first numbers; None where it is not known
    others: tuple[CudnnLibrary, ...] = ()  # further ones at hand, for a range where the choice is not exact
    note: str | None = None  # what the reader of an answer must know
    recorded: Recorded | None = None  # answers that stand in for the library, which need not be here

    @property
    def exact(self) -> bool:
        """Whether the library is the target's."""
        return self.library is not None and self.wanted is not None and _matches(self.library, self.wanted)


def choose(
    libraries: Iterable[CudnnLibrary], *, cudnn: str | None = None, torch: str | None = None
) -> Choice:
    """Return who answers for a target with cuDNN *cudnn* (``9.19``) or with torch *torch* (``2.11``).

    With neither, the target is the torch that is installed here. Where its cuDNN is not at hand, the nearest
    one answers, and the choice says so. Raises UsageError for versions that make no sense or are not known.
    """
    askable = tuple(library for library in libraries if library.askable)
    wanted = _checked(cudnn) if cudnn else torch_cudnn(torch) if torch else _installed_torch_cudnn()
    if wanted is not None and _numbers(wanted)[:2] < OLDEST_ASKABLE:
        return Choice(None, wanted, note=f"cuDNN {wanted} cannot be asked about GPUs; 9.8 and later can")
    if not askable:
        return Choice(
            None, wanted, note="no cuDNN is installed here; pip install nvidia-cudnn-cu13 brings one"
        )
    if wanted is None:
        newest = askable[0]
        note = f"the target's cuDNN is not known; {newest.version} answers, as the newest at hand"
        return Choice(newest, None, askable[1:], note)
    nearest = min(askable, key=lambda library: _distance(library, wanted))
    if _matches(nearest, wanted):
        return Choice(nearest, wanted)
    others = tuple(library for library in askable if library is not nearest)
    return Choice(nearest, wanted, others, _missing(wanted, nearest))


def torch_cudnn(torch: str) -> str:
    """Return the cuDNN that a torch release brings. Raises UsageError for one that is not in the table."""
    release = ".".join(torch.partition("+")[0].split(".")[:2])
    if release not in TORCH_CUDNN:
        known = ", ".join(TORCH_CUDNN)
        raise UsageError(
            f"which cuDNN torch {torch} brings is not known; known are {known}; name cuDNN's version instead"
        )
    return TORCH_CUDNN[release]


def _installed_torch_cudnn() -> str | None:
    """Return the cuDNN of the installed torch, whether or not that build of it came with one."""
    torch = installed_version("torch")
    try:
        return torch_cudnn(torch) if torch else None
    except UsageError:  # newer than the table
        return None


def _missing(wanted: str, nearest: CudnnLibrary) -> str:
    exact = wanted if wanted.count(".") == 3 else f"{wanted}.*"
    return (
        f"cuDNN {wanted} is not at hand, {nearest.version} answers instead; "
        f"pip install --target DIR 'nvidia-cudnn-cu13=={exact}' and {PATH_VARIABLE}=DIR bring it"
    )


def _checked(version: str) -> str:
    """Return *version*, which must be two numbers or more."""
    parts = version.split(".")
    if len(parts) < 2 or not all(part.isdigit() for part in parts):
        raise UsageError(f"{version!r} is not a version of cuDNN; write it like 9.19 or 9.19.0.56")
    return version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _matches(library: CudnnLibrary, wanted: str) -> bool:
    """Whether the library is of that version, as far as both tell it."""
    return all(have == want for have, want in zip(library.numbers, _numbers(wanted), strict=False))


def _distance(library: CudnnLibrary, wanted: str) -> tuple[int, ...]:
    """How far apart two versions are, major number first; of two equally far ones the newer is nearer."""
    want = _numbers(wanted)
    padded = want + library.numbers[len(want) :]
    apart = [have - want for have, want in zip(library.numbers, padded, strict=False)]
    return (*map(abs, apart), *(number < 0 for number in apart))
