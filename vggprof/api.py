"""Everything that the command line can do, one call each.

Where an architecture is wanted, an ARCH text is taken (``"vgg16"``, ``"./net.yaml"``,
``"torchvision.models:resnet50"``) or a trace, such as `trace` makes of a module that a program holds.
Traces of ARCH texts are kept on disk, and torch is imported only where one has to be made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from vggprof.advised import with_advice
from vggprof.analyzers import LayerTable, layer_table
from vggprof.compare import Alignment, Comparison, Profile, profile, profile_on, timed
from vggprof.compare import compare as compare_profiles
from vggprof.errors import UsageError
from vggprof.measured import (
    delete_runs,
    diff,
    export,
    find,
    get_run,
    keep,
    list_runs,
    read_measurements,
    write_measurements,
)
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.gate import Gate
from vggprof.memory.report import MemoryReport
from vggprof.memory.report import report as memory_report
from vggprof.spec import Summary, summaries
from vggprof.spec.arch import content_key, edited, parse_arch
from vggprof.target import Target
from vggprof.trace import Amp, Mode, Optimizer, Setup, Trace
from vggprof.trace.cached import cached_trace
from vggprof.trace.setup import word
from vggprof.trace.traces import Traces
from vggprof.units import parse_bytes
from vggprof.views.notebook import attach as show_in_notebooks
from vggprof.worked import build, dense, dense_weights, doctor, fashion, jitter, stack, transfer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from vggprof.compare.measured import MeasuredReport
    from vggprof.compare.sweep import SweepReport
    from vggprof.devices.calibration_listing import CalibrationListing
    from vggprof.devices.listing import GpuListing
    from vggprof.latency.report import LatencyReport
    from vggprof.measurement import Execution, Measurement
    from vggprof.memory.replay.files import ReplayedFile
    from vggprof.memory.replay.supposed import SupposedFile
    from vggprof.memory.workspaces.listing import CudnnListing
    from vggprof.profiler.plan import Plan
    from vggprof.profiler.sweep import Sweep
    from vggprof.report import Asked, Report
    from vggprof.tracing.optimizers import OptimizerChoice

__all__ = [
    "advise",
    "build",
    "calibrate",
    "check",
    "compare",
    "compare_measurement",
    "compare_sweep",
    "delete_runs",
    "dense",
    "dense_weights",
    "diff",
    "doctor",
    "export",
    "fashion",
    "find",
    "forget_calibrations",
    "get_run",
    "jitter",
    "keep",
    "latency",
    "layers",
    "list_calibrations",
    "list_cudnn",
    "list_gpus",
    "list_runs",
    "list_specs",
    "measure",
    "memory",
    "read_measurements",
    "replay",
    "report",
    "stack",
    "trace",
    "trace_arch",
    "transfer",
    "what_if",
    "write_measurements",
]

Subject: TypeAlias = str | Trace

show_in_notebooks()


def list_specs() -> tuple[Summary, ...]:
    """Return what there is to say of each shipped spec, sorted by name."""
    return summaries()


def list_gpus(pattern: str = "") -> GpuListing:
    """Return the GPUs that *pattern* finds (words, a name or a device file), and those that are here.

    Raises DeviceError with the nearest names where nothing fits.
    """
    from vggprof.devices import listing

    return listing.list_gpus(pattern)


def list_cudnn() -> CudnnListing:
    """Return the cuDNN libraries at hand, and which of them answers for which torch."""
    from vggprof.memory.workspaces import listing

    return listing.list_cudnn()


def calibrate(say: Callable[[str], None] = lambda _: None) -> CalibrationListing:
    """Measure what processes hold besides PyTorch's memory on the GPU of this machine, and remember it.

    *say* hears what is going on. Raises GpuUnavailable where no GPU can be measured, UsageError where nothing
    can be remembered, FileFormatError where what is remembered is damaged.
    """
    from vggprof.devices import calibration_files, calibration_listing
    from vggprof.profiler import calibration

    gpu = calibration.gpu_to_measure()
    calibration_files.check_writable()
    return calibration_listing.keep(calibration.calibrate(gpu, say))


def list_calibrations(gpu: str = "") -> CalibrationListing:
    """Return the calibrations that are remembered of *gpu* (words of its name, or its UUID); all without.

    Raises FileFormatError where one of them is damaged.
    """
    from vggprof.devices import calibration_listing

    return calibration_listing.list_calibrations(gpu)


def forget_calibrations(gpu: str = "") -> CalibrationListing:
    """Drop the calibrations of *gpu*, as in `list_calibrations`, and return them.

    Raises as that does, and UsageError where a file cannot be removed.
    """
    from vggprof.devices import calibration_listing

    return calibration_listing.forget_calibrations(gpu)


def replay(path: str | Path) -> ReplayedFile:
    """Return a recorded run (a pickled memory snapshot, or an event file) replayed through the allocator.

    No code of the file ever runs. Raises FileFormatError for a file that is no such recording.
    """
    from vggprof.memory.replay.files import replay_file

    return replay_file(path)


def what_if(
    path: str | Path, *, allocator: str | None = None, changes: str = "", gpu_memory: str | None = None
) -> SupposedFile:
    """Return how a recorded run would have gone under other allocator settings, or on a smaller card.

    *allocator* is what PYTORCH_ALLOC_CONF says instead of what was recorded, *changes* more of the same on
    top of it; *gpu_memory* is what PyTorch can have there (``8GiB``), by default without end. Raises as
    `replay` does, and UsageError for what torch or common sense refuses.
    """
    from vggprof.memory.replay.supposed import Supposition, suppose

    memory_bytes = None if gpu_memory is None else parse_bytes(gpu_memory)
    return suppose(path, Supposition(allocator, changes, memory_bytes))


def layers(what: Subject, setup: Setup | None = None) -> LayerTable:
    """Return what each layer costs. Raises UsageError for an ARCH that names nothing or cannot be run."""
    return layer_table(_trace_of(what, setup))


def memory(
    what: Subject, setup: Setup | None = None, target: Target | None = None, *, record: bool = False
) -> MemoryReport:
    """Return what training takes on the GPU of *target*, on the one that is here, or on a ladder of cards.

    With *record* every allocation comes with it, for a plot or a snapshot; that needs a single GPU.
    Raises as `layers` does, DeviceError for a GPU that nobody knows, GpuUnavailable for one that is not here.
    """
    target = target or Target()
    cards = target.cards()
    if record and len(cards) != 1:
        raise UsageError(
            "a snapshot or a plot needs a card, and no GPU is here; name one with --gpu, or its size with "
            "--gpu-memory"
        )
    finish = partial(with_advice, target=target, traces=_retracing(what))
    search = isinstance(what, str)
    return _memory(what, setup, cards, target.software(), search=search, record=record, finish=finish)


def latency(  # noqa: PLR0913 - what can be asked
    what: Subject,
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    execution: str = "eager",
    changes: bool = False,
    curve: bool = False,
    dataset_size: int | None = None,
) -> LatencyReport:
    """Return how long a step takes on the GPU of *target*, on the one that is here, or on a ladder of cards.

    *execution* is ``eager`` or ``graph``. With *changes* it says what would gain how much, with *curve* it
    has the times over batch sizes, with *dataset_size* the time of an epoch of so many images; these need a
    single GPU, and the first two an ARCH text. Raises as `memory` does.
    """
    from vggprof.latency.answer import Wanted, answer
    from vggprof.latency.predict import Execution

    if (changes or curve) and not isinstance(what, str):
        raise UsageError("a trace has one batch and one setup; changes and a curve need an ARCH")
    target, first = target or Target(), _trace_of(what, setup)
    retraced = _retracing(what)

    def at(batch: int) -> Trace:
        other = retraced is not None and batch != first.setup.batch
        return retraced(replace(first.setup, batch=batch)) if other and retraced else first

    wanted = Wanted(word(Execution, execution), changes=changes, curve=curve, dataset_images=dataset_size)
    return answer(
        Traces(at), target.cards(), first.setup, software=target.software(), wanted=wanted, retraced=retraced
    )


def advise(what: Subject, setup: Setup | None = None, target: Target | None = None) -> MemoryReport:
    """Return what training takes on the card of *target*, and what would make it fit or take clearly less.

    Of a trace that a program made only settings can be changed. Raises as `memory` does, and UsageError where
    there is no card.
    """
    target = target or Target()
    cards = target.cards()
    if len(cards) != 1:
        raise UsageError(
            "advice needs a card, and no GPU is here; name one with --gpu, or its size with --gpu-memory"
        )
    finish = partial(with_advice, target=target, traces=_retracing(what), always=True)
    return _memory(what, setup, cards, target.software(), search=False, finish=finish)


def check(
    what: Subject,
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    max_memory: str | None = None,
    allow_tight: bool = False,
) -> Gate:
    """Return whether training fits the GPU of *target* and its process keeps within *max_memory* (``8GiB``).

    With *max_memory* alone a card of that size is meant, on every machine; else the GPU that is here.
    Raises as `memory` does, and UsageError where there is no card to hold it against.
    """
    target = target or Target()
    limit = None if max_memory is None else parse_bytes(max_memory)
    if limit is not None and target.gpu is None and target.gpu_memory is None:
        target = replace(target, gpu_memory=max_memory)
    cards = target.cards()
    if len(cards) != 1:
        raise UsageError(
            "a check needs a card, and no GPU is here; name one with --gpu, its size with --gpu-memory, "
            "or a limit with --max-memory"
        )
    answer = _memory(what, setup, cards, target.software(), search=False)
    return Gate(answer, limit, allow_tight=allow_tight)


def compare(  # noqa: PLR0913 - what can be asked
    what: Sequence[Subject],
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    what_if: Sequence[str] = (),
    align: Alignment | str | None = None,
    measurements: str | Path | None = None,
) -> Comparison:
    """Return networks side by side, each against the first, and why they differ.

    On the GPU of *target*, or the one that is here; without one, peaks are of tensors alone. *what_if* are
    edits of the last ARCH (``"stage1 stride 4"``), each one network more. *align* says which layers are held
    against each other; *measurements* is a file to take times from. Raises as `memory` does, and UsageError
    for fewer than two, an edit that is none, or a file without a measurement of what is compared.
    """
    subjects = [*what, *(_edited(what[-1], edits) for edits in what_if if what)]
    if len(subjects) < 2:
        raise UsageError(f"a comparison needs two architectures or more; got {len(subjects)}")
    aligned = None if align is None else word(Alignment, align)
    profiles = tuple(_profiles(subjects, setup, target or Target()))
    if measurements is not None:
        profiles = timed(profiles, read_measurements(measurements))
    return compare_profiles(profiles, aligned)


def report(  # noqa: PLR0913 - what can be asked
    what: Sequence[Subject],
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    gpus: Sequence[str] | None = None,
    optimizers: Sequence[str] | None = None,
    measurements: str | Path | None = None,
) -> Report:
    """Return all that a report says of one network, or of several held against the first.

    *gpus* are those that its page lets one choose besides the one of *target*: names, or sizes that it may
    have instead; by default common ones of 4 to 24 GiB. *optimizers* are those besides the one of *setup*, by
    default sgd, momentum and adam. *measurements* is a file to take times from. Raises as `compare` does.
    """
    from vggprof.reported import report_on

    if not what:
        raise UsageError("a report needs an architecture")
    kept = () if measurements is None else read_measurements(measurements)
    more = () if measurements is None else ("--measurements", str(measurements))
    asked = [_asked(one, setup) for one in what]
    chosen = None if optimizers is None else [word(Optimizer, each) for each in optimizers]
    target = target or Target()
    return report_on(asked, target, gpus=gpus, optimizers=chosen, measurements=kept, more=more)


def measure(  # noqa: PLR0913 - all that can be asked
    arch: str,
    setup: Setup | None = None,
    plan: Plan | None = None,
    *,
    batches: Sequence[int] | None = (),
    device: str = "auto",
    execution: Execution | str = "eager",
    tf32: bool = True,
    deterministic: bool = False,
    benchmark: bool = False,
    memory_limit: str | None = None,
    store: bool = True,
    say: Callable[[str], None] = lambda _text: None,
    write: Callable[[str], None] = lambda _line: None,
) -> Sweep:
    """Run *arch* for real and return what came out, one measurement for each of *batches*.

    Without *batches* it is the one of *setup*; None climbs to the largest that fits. *device* is ``auto``
    (the GPU that torch can use here, else the CPU), ``cuda`` or ``cpu``; *memory_limit* (``8GiB``) lets it
    stand in for a smaller one. Each measurement runs in a process of its own, and with *store* is kept as soon
    as it is done; a KeyboardInterrupt ends a sweep with what is done. *say* hears what is being done, *write*
    the lines of `Protocol.SEED`. Raises as `trace_arch` and `keep` do, and GpuUnavailable for ``cuda`` without
    a usable GPU. Running out of memory, a crash and the end of its time are results.
    """
    from vggprof.measured import measure_all
    from vggprof.measurement import Conditions, Execution
    from vggprof.profiler.plan import Plan, Request

    setup = setup or Setup()
    conditions = Conditions(
        arch,
        setup,
        device,
        word(Execution, execution),
        tf32,
        deterministic,
        benchmark,
        None if memory_limit is None else parse_bytes(memory_limit),
    )
    request = Request(conditions, plan or Plan(), trace_arch(arch, setup))
    wanted = (setup.batch,) if batches == () else batches
    return measure_all(request, wanted, store=store, say=say, write=write)


def compare_measurement(measurement: Measurement, *, search: bool = True) -> MeasuredReport:
    """Return *measurement* beside what is predicted for its network, on its machine with its software.

    With *search* the largest batch is predicted too. What cannot be predicted is left out, with the reason.
    """
    from vggprof.compare.measured import set_beside

    arch, setup = measurement.conditions.arch, measurement.conditions.setup
    traces = Traces(lambda batch: trace_arch(arch, replace(setup, batch=batch)))
    return set_beside(measurement, traces, search=search)


def compare_sweep(measurements: Sequence[Measurement]) -> SweepReport:
    """Return several measurements, each beside its prediction, and the largest batch of each network."""
    from vggprof.compare.sweep import SweepReport, same_but_batch

    seen = [same_but_batch(each) for each in measurements]
    return SweepReport(
        tuple(
            compare_measurement(each, search=seen.index(seen[number]) == number)
            for number, each in enumerate(measurements)
        )
    )


def trace_arch(arch: str, setup: Setup | None = None) -> Trace:
    """Return the trace of *arch* under *setup* (by default batch 1, training), from disk where it is there.

    Raises ArchError for what names nothing, SpecError for a spec with problems, another UsageError for a file
    that cannot be read.
    """
    return _trace_arch(arch, setup or Setup())


def _trace_arch(arch: str, setup: Setup, *, first: Callable[[], None] = lambda: None) -> Trace:
    """Do the same; where a trace has to be made, call *first* before torch is imported."""
    named = parse_arch(arch)

    def make() -> Trace:
        first()
        from vggprof.analyzers.stages import stage_names
        from vggprof.network.load import load
        from vggprof.tracing import trace_network

        with redirect_stdout(sys.stderr):  # what a network prints as it runs is no part of a result
            network = load(named)
            module, shape = network.module, network.input_shape
            return trace_network(module, shape, setup, arch=arch, stages=stage_names)

    return cached_trace(arch, setup, make, content_key=content_key(named))


def trace(  # noqa: PLR0913 - every part of a training can be given
    module: nn.Module,
    inputs: Tensor | tuple[Any, ...],
    *,
    targets: Tensor | tuple[Any, ...] = (),
    loss: Callable[..., Tensor] | None = None,
    step: Callable[..., object] | None = None,
    optimizer: OptimizerChoice | str = Optimizer.MOMENTUM,
    mode: Mode | str = Mode.TRAIN,
    amp: Amp | str = Amp.OFF,
    steps: int | None = None,
) -> Trace:
    """Return the trace of training *module* on *inputs*; nothing is computed, and *module* is left as it was.

    *inputs* is the module's argument, or a tuple of all of them; only shapes and dtypes matter. *loss* gets
    the module's output and *targets* and gives a scalar; without one it is cross entropy with labels that
    fit. *step* does a whole training step instead, and gets the module, the optimizer and the inputs.
    *optimizer* is a name, or a function from parameters to a torch optimizer. Raises ArchError where the
    module cannot run.
    """
    from vggprof.tracing import LiveLoop, trace_module

    how = LiveLoop(
        targets=_tuple(targets),
        loss=loss,
        step=step,
        optimizer=word(Optimizer, optimizer) if isinstance(optimizer, str) else optimizer,
        mode=word(Mode, mode),
        amp=word(Amp, amp),
    )
    return trace_module(module, _tuple(inputs), how if steps is None else replace(how, steps=steps))


def _memory(  # noqa: PLR0913 - what a report can have
    what: Subject,
    setup: Setup | None,
    cards: Sequence[Card],
    software: Software,
    *,
    search: bool,
    record: bool = False,
    finish: Callable[[MemoryReport, Forecast], MemoryReport] = lambda answer, _forecast: answer,
) -> MemoryReport:
    with _forecasting(what, setup, cards, software) as (forecast, batch):
        return finish(memory_report(forecast, batch, cards, search=search, record=record), forecast)


@contextmanager
def _forecasting(
    what: Subject, setup: Setup | None, cards: Sequence[Card], software: Software
) -> Iterator[tuple[Forecast, int]]:
    """Yield the forecast of *what* and the batch that is asked about."""

    def at(batch: int) -> Trace:
        if isinstance(what, str) and batch != asked.setup.batch:
            return trace_arch(what, replace(asked.setup, batch=batch))
        return asked

    with Forecast(Traces(at), software) as forecast:
        asked = _trace_of(what, setup, first=lambda: forecast.start(cards))
        yield forecast, asked.setup.batch


def _profiles(what: Sequence[Subject], setup: Setup | None, target: Target) -> Iterator[Profile]:
    """Yield what there is to compare: on the card of *target*; where there are several, on none."""
    cards = target.cards()
    for one in what:
        if len(cards) != 1:
            yield profile(_trace_of(one, setup))
        else:
            with _forecasting(one, setup, cards, target.software()) as (forecast, batch):
                yield profile_on(forecast, batch, cards[0], search=isinstance(one, str))


def _asked(what: Subject, setup: Setup | None) -> Asked:
    """Return *what* as a report asks about it; of a trace there is only the setup that it was made in."""
    from vggprof.report import Asked

    if isinstance(what, str):
        return Asked(what, setup or Setup(), partial(trace_arch, what))
    trace = _trace_of(what, setup)
    return Asked(trace.arch, trace.setup, lambda _setup: trace, search=False)


def _edited(what: Subject, edits: str) -> str:
    """Return *what* as an ARCH with *edits* more."""
    if not isinstance(what, str):
        raise UsageError("only specs can be edited; a trace shows a module as it is")
    return str(edited(parse_arch(what), edits))


def _retracing(what: Subject) -> Callable[[Setup], Trace] | None:
    """Return what traces another setup; None for a trace, of which there is only this one."""
    return partial(trace_arch, what) if isinstance(what, str) else None


def _trace_of(what: Subject, setup: Setup | None, *, first: Callable[[], None] = lambda: None) -> Trace:
    if isinstance(what, str):
        return _trace_arch(what, setup or Setup(), first=first)
    if not isinstance(what, Trace):
        raise UsageError(
            f"a {type(what).__name__} is neither an ARCH nor a trace; vggprof.trace(module, inputs) makes one"
        )
    if setup is not None and setup != what.setup:
        raise UsageError(
            f"the trace of {what.arch} was made in another setup; make one in the setup you want"
        )
    return what


def _tuple(value: Tensor | tuple[Any, ...]) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
