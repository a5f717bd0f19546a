"""``vggprof measure``."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vggprof.cli.filename import FileName
from vggprof.cli.options import arch_argument, setup_options_without_batch
from vggprof.cli.output import Output, as_file, output_options
from vggprof.cli.progress import progress
from vggprof.cli.target import library_options
from vggprof.errors import MeasurementFailed, UsageError, VggprofError
from vggprof.forms import Form
from vggprof.trace.setup import Setup

if TYPE_CHECKING:
    from vggprof.measurement import Measurement
    from vggprof.profiler.plan import Plan
    from vggprof.profiler.sweep import Sweep

_FILE: Any = {"metavar": "FILE", "type": FileName()}


@click.command("measure")
@arch_argument
@click.option(
    "--batch",
    "batches",
    default="1",
    show_default=True,
    metavar="N|N,N,...|auto",
    help="Images in a batch; several are measured one after the other, auto climbs to the largest that fits.",
)
@setup_options_without_batch
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    show_default=True,
    help="Where to run; auto is the GPU that torch can use here, else the CPU.",
)
@click.option(
    "--execution",
    type=click.Choice(["eager", "graph", "compile"]),
    default="eager",
    show_default=True,
    help="Run steps one by one, as one CUDA graph, or through torch.compile.",
)
@library_options
@click.option("--memory-limit", metavar="SIZE", help="Memory that the training may have, like 8GiB.")
@click.option(
    "--time-limit", metavar="S", type=float, default=600.0, show_default=True, help="For each batch."
)
@click.option(
    "--steps",
    type=int,
    default=100,
    show_default=True,
    help="The most steps that are timed; after 20 s three are enough.",
)
@click.option(
    "--warmup", metavar="S", type=float, default=1.0, show_default=True, help="Seconds of steps before that."
)
@click.option(
    "--target-spread",
    type=float,
    default=0.02,
    show_default=True,
    help="Time no more steps once the median's confidence interval is this narrow, as a share of the median.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, images and labels.")
@click.option("--layers/--no-layers", default=True, show_default=True, help="Time every layer too.")
@click.option(
    "--protocol",
    type=click.Choice(["steps", "seed"]),
    default="steps",
    show_default=True,
    help="Time training steps, or as alexnet_benchmark.py does: forward passes, then those with backward.",
)
@click.option("--kernels", is_flag=True, help="List what ran behind each layer.")
@click.option("--trace", **_FILE, help="Write a Chrome trace of the profiled steps into FILE.")
@click.option(
    "--snapshot", **_FILE, help="Write torch's memory snapshot of the first steps on a GPU into FILE."
)
@click.option(
    "--record", **_FILE, help="Write the measurements into FILE, for `vggprof diff` and other machines."
)
@click.option("--store/--no-store", default=True, show_default=True, help="Keep them (see `vggprof runs`).")
@output_options
def measure_command(  # noqa: PLR0913 - an option each
    arch: str,
    batches: str,
    setup: Setup,
    out: Output,
    *,
    cudnn_benchmark: bool,
    record: Path | None,
    **asked: Any,  # noqa: ANN401 - what `Plan` holds, and what `api.measure` takes besides
) -> None:
    """Run ARCH for real, on the GPU that is here or the CPU, and show how long and how much it takes.

    Each measurement runs in a process of its own: running out of memory, a crash and the end of its time are
    results. Exit code 5 says that a measurement crashed or did not end in time.
    """
    from vggprof import api

    as_file(record)  # raises where it has no place, before any work is done
    lines: list[str] = []
    plan, wanted = _plan(asked), _batches(batches)
    with progress() as say:
        sweep = api.measure(
            arch,
            setup,
            plan,
            batches=wanted,
            benchmark=cudnn_benchmark,
            say=say,
            write=lines.append,
            **asked,
        )

    def show() -> None:
        printed = "\n".join([*lines, ""]) if lines and out.form is Form.TABLE else None
        several = wanted is None or len(wanted) > 1
        out.write(_shown(sweep, out.form, several=several) if printed is None else printed)

    def write() -> None:
        if record is not None:
            api.write_measurements(sweep.measurements, record)

    not_kept = () if sweep.not_kept is None else (sweep.not_kept,)
    _hand_over(show, write, troubles=(*not_kept, *map(UsageError, sweep.missing)))
    _end(sweep)


def _plan(asked: dict[str, Any]) -> "Plan":
    """Take out of *asked* what a plan holds; its files have to have a place, before any work is done."""
    from vggprof.profiler.plan import Plan

    renamed = {"warmup_s": asked.pop("warmup"), "limit_s": asked.pop("time_limit")}
    renamed |= {f"{name}_file": _named(asked.pop(name)) for name in ("trace", "snapshot")}
    same = ("steps", "target_spread", "seed", "layers", "kernels")
    return Plan(**renamed, **{name: asked.pop(name) for name in same})


def _end(sweep: "Sweep") -> None:
    """Raise what ended *sweep*, if it did not end well: an interrupt, or measurements that failed."""
    if sweep.interrupted:
        raise KeyboardInterrupt
    if sweep.failures:
        raise MeasurementFailed("; ".join(map(_failure, sweep.failures)))


def _named(path: Path | None) -> str | None:
    return None if as_file(path) is None else str(path)


def _batches(text: str) -> "tuple[int, ...] | None":
    """Return the batches that *text* lists, None for ``auto``. Raises UsageError for anything else."""
    if text == "auto":
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no batch; write it like 32, 1,2,4,8 or auto") from None


def _hand_over(*outputs: Callable[[], None], troubles: Sequence[VggprofError]) -> None:
    """Make all *outputs*, whatever becomes of the others, then raise what went wrong, with *troubles*."""
    found = list(troubles)
    with ExitStack() as rest:
        for output in reversed(outputs):  # what is no error of ours ends the command once all are made
            rest.callback(_noting(found, output))
    if len(found) > 1:
        raise UsageError("; ".join(map(str, found)))
    if found:
        raise found[0]


def _noting(troubles: list[VggprofError], output: Callable[[], None]) -> Callable[[], None]:
    """Return *output*, whose errors of ours go to *troubles*."""

    def make() -> None:
        try:
            output()
        except VggprofError as error:
            troubles.append(error)

    return make


def _shown(sweep: "Sweep", form: Form, *, several: bool) -> str:
    """Return *sweep* in *form*; with *several* as a sweep, however many of its batches were reached."""
    from vggprof import api, views

    if several:
        return views.sweep(api.compare_sweep(sweep.measurements), form)
    (made,) = sweep.measurements
    return views.measurement(api.compare_measurement(made), form)


def _failure(failed: "Measurement") -> str:
    return f"batch {failed.conditions.setup.batch}: {failed.message}"
