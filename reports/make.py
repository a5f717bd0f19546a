"""Makes the gallery anew: every folder here, and README.md. ``make reports`` calls it.

It gives the same bytes wherever it runs: the software that is predicted for is named below, and what its
cuDNN answers lies in cudnn.answers. Where a change has it ask what is not recorded there, it ends with an
error: ``python reports/make.py --ask`` asks that cuDNN, which has to be installed, and records all anew.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType

from vggprof import api, views
from vggprof.memory.forecast import Forecast, Software
from vggprof.memory.verdict import Status
from vggprof.memory.workspaces.libraries import CudnnLibrary, find_libraries
from vggprof.memory.workspaces.plans import Plan
from vggprof.memory.workspaces.process import Failure, Worker
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.memory.workspaces.recorded import (
    NotRecordedError,
    Recorded,
    place,
    read_recorded,
    write_recorded,
)
from vggprof.memory.workspaces.targets import Choice
from vggprof.report import Filled, Report, Study, who_filled
from vggprof.target import Target
from vggprof.trace import Mode, Optimizer, Setup
from vggprof.trace.traces import Traces
from vggprof.units import format_bytes
from vggprof.views.document import Block, Document, Lines, Notes
from vggprof.views.holders import holders
from vggprof.views.markdown import markdown_of, plain
from vggprof.views.phrases import say_setup

HERE = Path(__file__).parent
ANSWERS = HERE / "cudnn.answers"
TORCH, CUDNN = "2.15", "9.26.0.51"
CARD = "GeForce RTX 3060 12GB"
SIZES = ("2GiB", "3GiB", "4GiB", "6GiB", "8GiB", "12GiB", "16GiB", "24GiB")
BESIDE = tuple(size for size in SIZES if size != "12GiB")  # of the card that has those
FULL = "out-of-memory/report.md"
HEAD = """# Gallery

Reports that vggprof made, as markdown; all but the last also as one offline page, `report.html` beside it,
which has a slider over batches. `make reports` makes them again, byte for byte.
[Why VGG is slower](../docs/why-vgg-is-slower.md) tells in words, and with one cause switched off at a time,
what the page on AlexNet and VGG-11 has in numbers.
"""
FOOT = f"""All are predictions for torch {TORCH} with cuDNN {CUDNN} on a {CARD}, unless a page says otherwise.
What that cuDNN answers lies in `cudnn.answers`, so that another one changes nothing here.
"""
_RULED_OUT = "DOWN_CONVERT_INPUTS"  # by torch, under every setting
COLUMNS = ("vgg11", "vgg11-lrn", "vgg13", "vgg16-1x1", "vgg16", "vgg19")


class Asking(Recorded):
    """Asks cuDNN itself, and keeps what it says."""

    def __init__(self, library: CudnnLibrary) -> None:
        self._answers: dict[str, tuple[Plan, ...]] = {}
        super().__init__(library.version, self._answers)
        self._worker = Worker(library)

    def find(
        self, device: str, queries: Sequence[CudnnQuery]
    ) -> dict[CudnnQuery, tuple[Plan, ...] | Failure]:
        """Return an answer to each of *queries*, asked where it is not known."""
        for query in queries:
            if place(device, query) not in self._answers:
                plans = self._worker.ask(device, query)
                if isinstance(plans, Failure):  # nothing to be recorded, so no gallery either
                    raise NotRecordedError(plans.reason)
                self._answers[place(device, query)] = _tried(plans)
        return super().find(device, queries)

    def close(self) -> None:
        """End the process that is asked."""
        self._worker.close()


def _tried(plans: tuple[Plan, ...]) -> tuple[Plan, ...]:
    """Return *plans* up to the first that always runs here: it takes no workspace, and torch has it run."""
    for at, plan in enumerate(plans, start=1):
        if not plan.workspace_bytes and _RULED_OUT not in plan.notes:
            return plans[:at]
    return plans


@cache
def recorded() -> Recorded:
    """Return what answers for cuDNN: the file, or with ``--ask`` the library itself."""
    if "--ask" not in sys.argv:
        return read_recorded(ANSWERS)
    return Asking(next(library for library in find_libraries() if library.version == CUDNN))


class Pinned(Target):
    """A target whose cuDNN is the recorded one, whatever is installed here."""

    __slots__ = ()

    def software(self, environment: Mapping[str, str] = MappingProxyType({})) -> Software:
        """Return what the training runs with."""
        library = CudnnLibrary(CUDNN, ANSWERS, "recorded", None)
        choice = Choice(library, CUDNN, recorded=recorded())
        return replace(super().software(environment), cudnn=choice)


PINNED = Pinned(gpu=CARD, torch=TORCH, cudnn=CUDNN)


@dataclass(frozen=True, slots=True)
class Page:
    """One report of the gallery."""

    name: str
    about: str
    archs: tuple[str, ...]
    setup: Setup
    gpus: tuple[str, ...] | None = None
    optimizers: tuple[str, ...] | None = None

    def report(self) -> Report:
        """Return the report."""
        return api.report(self.archs, self.setup, PINNED, gpus=self.gpus, optimizers=self.optimizers)


_SGD = Setup(batch=32, optimizer=Optimizer.SGD)
PAGES = (
    Page("vgg-columns", "The six VGG columns of the paper", COLUMNS, Setup(batch=32), None, ("momentum",)),
    Page("alexnet-vgg11", "Why VGG is slower than AlexNet", ("alexnet", "vgg11"), Setup(batch=32)),
    Page(
        "vgg16-forward",
        "VGG-16 forward, on cards of 2 to 24 GiB",
        ("vgg16",),
        Setup(batch=32, mode=Mode.INFER),
        BESIDE,
    ),
    Page(
        "vgg16-forward-backward",
        "VGG-16 forward and backward, on cards of 2 to 24 GiB",
        ("vgg16",),
        _SGD,
        BESIDE,
        ("sgd",),
    ),
    Page("vgg11-d2l", "VGG-11 for one channel and ten classes", ("vgg11-d2l",), _SGD, BESIDE, ("sgd",)),
)


@dataclass(frozen=True, slots=True)
class Told:
    """An error that a document shows, and the training that met it."""

    title: str
    said: str
    floats: int
    arch: str
    setup: Setup


TOLD = (
    Told(
        "VGG-16 in TensorFlow 1",
        "OOM when allocating tensor with shape[512], at conv4_2/b/Assign: the bias of conv4_2, while "
        "variables get their first values",
        512,
        "vgg16",
        Setup(batch=32, optimizer=Optimizer.SGD),
    ),
    Told(
        "VGG-11 on one channel in Keras",
        "OOM when allocating tensor with shape[4096], at training/SGD/Variable_17/Assign: the momentum of a "
        "bias with 4096 numbers, which Keras sets up ahead of the first step, even where it is 0",
        4096,
        "vgg11-d2l",
        Setup(batch=32, optimizer=Optimizer.MOMENTUM),
    ),
)


def full_cards() -> dict[str, str]:
    """Return the page on what two errors tell, first of all."""
    found = [(told, _filled(told)) for told in TOLD]
    blocks = [block for told, filled in found for block in _told(told, filled)]
    sure = [
        all(each.others.low for each in cards) for cards in zip(*(filled for _, filled in found), strict=True)
    ]
    least = SIZES[len(sure) - sure[::-1].index(False)].replace("GiB", " GiB")
    first = Lines(
        (
            "Both errors come before the first step and ask for a few KiB: the card was full by then.",
            f"On cards of {least} and more the training cannot have filled it, whatever is true of what is "
            "not known: others held memory.",
        )
    )
    notes = Notes(
        "How to read this",
        (
            "Held by the training: the model, the optimizer's state and one batch, each twice, for first "
            "values may lie beside what they are copied to. Nothing else exists before the first step.",
            "Held by others, at least: what is then left to be explained, by other processes or by what the "
            "same process took earlier; low and high by what is not known of the context and the card.",
            "Others are all that are not this training: another process, or an earlier model of this one. "
            "TensorFlow by default takes nearly all memory that is free when its first session starts "
            "(gpu_options.allow_growth is off), so that a second one finds next to nothing.",
            "Steps reserve: at most; where they likely do not fit, on a card without end. Get through with: "
            "what is then likely enough, for on a full card PyTorch gives back what it holds unused, and has "
            "cuDNN take algorithms with smaller workspaces. Where that is more than the least that may be "
            "left beside the context and not more than the most, steps are TIGHT.",
            "The context and what steps reserve are PyTorch's; TensorFlow's differ, but not by gigabytes.",
        ),
    )
    document = Document("What two errors tell: out of memory before the first step", (first, *blocks, notes))
    return {FULL: markdown_of(document)}


def _filled(told: Told) -> list[Filled]:
    """Return who can have filled each card."""
    cards = [replace(PINNED, gpu_memory=size).cards()[0] for size in SIZES]
    traces = Traces(lambda batch: api.trace_arch(told.arch, replace(told.setup, batch=batch)))
    with Forecast(traces, PINNED.software()) as forecast:
        return [who_filled(forecast, told.setup.batch, card, copies=2) for card in cards]


def _told(told: Told, filled: Sequence[Filled]) -> Iterator[Block]:
    asks = f"It asks for {format_bytes(4 * told.floats)}: nothing was left."
    return holders(told.title, filled, f"The error: {told.said}.", asks)


def page(number: int) -> tuple[str, dict[str, str]]:
    """Return the line of the list that names the page of that number, and its files."""
    if number == len(PAGES):
        return f"- [What two errors tell]({FULL}): out of memory before the first step", full_cards()
    made = PAGES[number]
    report = made.report()
    files = {f"{made.name}/{name}": text for name, text in views.report_files(report).items()}
    said = "; ".join(_verdicts(report, study) for study in report.studies)
    return f"- [{made.about}]({made.name}/report.md) ({plain(say_setup(made.setup))}): {said}", files


def _verdicts(report: Report, study: Study) -> str:
    """Return what a network comes to on the card; where a page is of one alone, also on each other card."""
    (card,) = study.memory.cards
    said = f"{study.arch} {card.prediction.status.value}, up to batch {card.largest_batch:,}"
    if len(report.studies) > 1:
        return said
    found = [study.slice(choice, report.setup) for choice in report.choices]
    ends = [(each, next(p.status for p in each.points if p.batch == report.setup.batch)) for each in found]
    for status in reversed(Status):
        sizes = [format_bytes(each.usable_bytes) for each, known in ends if known is status]
        said += f"; {status.value} with {', '.join(sizes)}" if sizes else ""
    return said


def gallery() -> dict[str, str]:
    """Return the text of every file."""
    numbers = range(len(PAGES) + 1)
    if "--ask" in sys.argv:
        pages = [*map(page, numbers)]
    else:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            pages = [*pool.map(page, numbers)]
    lines = "\n".join(line for line, _ in pages)
    files = {name: text for _, made in pages for name, text in made.items()}
    return {"README.md": f"{HEAD}\n{lines}\n\n{FOOT}", **files}


def main() -> None:
    """Write the gallery, and remove what is no longer of it."""
    for name in ("CUDA_MODULE_LOADING", "VGGPROF_CUDNN_PATH"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as nothing:
        os.environ["VGGPROF_DATA_DIR"] = nothing  # no calibration of this machine
        files = gallery()
    for old in (path for path in HERE.glob("*/*") if str(path.relative_to(HERE)) not in files):
        if old.suffix in (".md", ".html", ".svg"):
            old.unlink()
    for name, text in files.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_bytes(text.encode())
    answers = recorded() if "--ask" in sys.argv else None
    if isinstance(answers, Asking):
        answers.close()
        write_recorded(ANSWERS, answers)
    sys.stdout.write(f"{len(files)} files in {HERE}\n")


if __name__ == "__main__":
    main()
