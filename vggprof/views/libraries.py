"""The cuDNN libraries at hand as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from vggprof.forms import Form
from vggprof.views.csv import csv_of
from vggprof.views.document import Block, Cell, Column, Document, Lines, Notes, Table, Unit
from vggprof.views.json import Json, json_of
from vggprof.views.markdown import markdown_of
from vggprof.views.table import text_of

if TYPE_CHECKING:
    from vggprof.memory.workspaces.libraries import CudnnLibrary
    from vggprof.memory.workspaces.listing import CudnnListing, ListedLibrary
    from vggprof.memory.workspaces.targets import Choice

_COLUMNS = (
    Column("version", Unit.TEXT),
    Column("CUDA", Unit.SAID),
    Column("origin", Unit.TEXT),
    Column("can be asked", Unit.TEXT),
    Column("comes with torch", Unit.TEXT),
    Column("path", Unit.TEXT),
)
_TORCH_COLUMNS = (
    Column("torch", Unit.TEXT),
    Column("brings", Unit.TEXT),
    Column("answered by", Unit.TEXT),
    Column("the same", Unit.TEXT),
)
_CSV_HEADER = ("version", "cuda", "origin", "askable", "torch", "answers", "path")
_NO_FRONTEND = (
    "None can be asked, for nvidia-cudnn-frontend is not installed; "
    "pip install nvidia-cudnn-frontend brings it"
)
_RANGES = "Without an answer, the workspaces of convolutions are ranges instead of numbers"
_HOW = (
    "A cuDNN from 9.8 on can be asked about a GPU that is not here. One of several libraries of a version is "
    "listed, the first in this order: named in VGGPROF_CUDNN_PATH, packages of this Python, the system's.",
    "A torch brings the cuDNN that `pip install torch` installs with it on Linux; builds for other CUDA "
    "versions may bring another one. To have one more: pip install --target DIR nvidia-cudnn-cu13==VERSION, "
    "then VGGPROF_CUDNN_PATH=DIR.",
)


def libraries(listing: "CudnnListing", form: Form) -> str:
    """Return *listing* in *form*.

    As a table it begins like this::

    cuDNN libraries at hand

    torch 2.15.0 is installed; its release comes with cuDNN 9.26.0.51, which is at hand and answers

    version    CUDA  origin   can be asked  comes with torch  path
    ---------  ----  -------  ------------  ----------------  ---------------------
    9.26.0.51    13  package  yes           2.15              .../lib/libcudnn.so.9
    """
    match form:
        case Form.TABLE:
            return text_of(libraries_document(listing))
        case Form.MARKDOWN:
            return markdown_of(libraries_document(listing))
        case Form.CSV:
            return csv_of(_CSV_HEADER, (_csv_row(listing, one) for one in listing.libraries))
        case Form.JSON:
            return json_of("cudnn list", _result(listing))
        case _:
            assert_never(form)


def libraries_document(listing: "CudnnListing") -> Document:
    """Return what people read of *listing*."""
    blocks: list[Block] = [Lines(tuple(_say(listing)))]
    if listing.libraries:
        rows = tuple(_row(listing, one) for one in listing.libraries)
        blocks += [Table("", _COLUMNS, rows), _releases(listing)]
    return Document("cuDNN libraries at hand", (*blocks, Notes("How to read this", _HOW)))


def _say(listing: "CudnnListing") -> Iterator[str]:
    """Yield who answers for the installed torch, and what is missing."""
    choice = listing.choice
    torch = "No torch is installed" if listing.torch is None else f"torch {listing.torch} is installed"
    comes = f"; its release comes with cuDNN {choice.wanted}" if choice.wanted else ""
    answers = ", which is at hand and answers" if choice.exact and listing.frontend else ""
    yield f"{torch}{comes}{answers}"
    if choice.note is not None:
        yield _sentence(choice.note)
    if listing.libraries and not listing.frontend:
        yield _NO_FRONTEND
    if listing.answers is None:
        yield _RANGES


def _sentence(text: str) -> str:
    """Return *text* with a capital; cuDNN keeps its own."""
    return text if text.startswith("cuDNN") else f"{text[:1].upper()}{text[1:]}"


def _row(listing: "CudnnListing", one: "ListedLibrary") -> tuple[Cell, ...]:
    library = one.library
    return (
        library.version,
        library.cuda,
        library.origin,
        _yes(_askable(listing, library)),
        ", ".join(one.torch) or None,
        str(library.path),
    )


def _releases(listing: "CudnnListing") -> Table:
    rows = tuple(_release_row(listing, torch, choice) for torch, choice in listing.releases)
    return Table("Who answers for which torch", _TORCH_COLUMNS, rows)


def _release_row(listing: "CudnnListing", torch: str, choice: "Choice") -> tuple[Cell, ...]:
    library = choice.library if listing.frontend else None
    if library is None:
        return torch, choice.wanted, None, None
    return torch, choice.wanted, library.version, _yes(choice.exact)


def _askable(listing: "CudnnListing", library: "CudnnLibrary") -> bool:
    return library.askable and listing.frontend


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _csv_row(listing: "CudnnListing", one: "ListedLibrary") -> tuple[Cell, ...]:
    return tuple(
        " ".join(value) if isinstance(value, tuple) else value
        for value in _library_fields(listing, one).values()
    )


def _library_fields(
    listing: "CudnnListing", one: "ListedLibrary"
) -> dict[str, str | int | bool | tuple[str, ...] | None]:
    """Return what CSV and JSON say alike, by name."""
    return {
        "version": one.library.version,
        "cuda": one.library.cuda,
        "origin": one.library.origin,
        "askable": _askable(listing, one.library),
        "torch": one.torch,
        "answers": one.library == listing.answers,
        "path": str(one.library.path),
    }


def _result(listing: "CudnnListing") -> dict[str, Json]:
    choice = listing.choice
    return {
        "libraries": [_library_fields(listing, one) for one in listing.libraries],
        "frontend": listing.frontend,
        "torch_version": listing.torch,
        "wanted": choice.wanted,
        "answers": None if listing.answers is None else listing.answers.version,
        "exact": listing.answers is not None and choice.exact,
        "note": choice.note,
        "releases": [_release_json(listing, torch, choice) for torch, choice in listing.releases],
    }


def _release_json(listing: "CudnnListing", torch: str, choice: "Choice") -> Json:
    library = choice.library if listing.frontend else None
    return {
        "torch": torch,
        "wanted": choice.wanted,
        "answers": None if library is None else library.version,
        "exact": library is not None and choice.exact,
        "note": choice.note,
    }
