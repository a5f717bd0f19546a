"""Measuring for real, and measurements beside predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vggprof import store as runs
from vggprof.api.networks import trace_arch
from vggprof.api.runs import keep
from vggprof.errors import VggprofError
from vggprof.trace import Setup
from vggprof.trace.setup import word
from vggprof.trace.traces import Traces
from vggprof.units import parse_bytes

if TYPE_CHECKING:
    from vggprof.compare.measured import MeasuredReport
    from vggprof.compare.sweep import SweepReport
    from vggprof.measurement import Execution, Measurement, Protocol
    from vggprof.profiler.plan import Plan, Request
    from vggprof.profiler.sweep import Sweep


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
    protocol: Protocol | str = "steps",
    store: bool = True,
    say: Callable[[str], None] = lambda _text: None,
    write: Callable[[str], None] = lambda _line: None,
) -> Sweep:
    """Run *arch* for real and return what came out, one measurement for each of *batches*.

    Without *batches* it is the one of *setup*; None climbs to the largest that fits. *device* is ``auto``
    (the GPU that torch can use here, else the CPU), ``cuda`` or ``cpu``; *memory_limit* (``8GiB``) lets it
    stand in for a smaller one. Each measurement runs in a process of its own, and with *store* is kept as
    soon as it is done; a KeyboardInterrupt ends a sweep with what is done. *say* hears what is being done,
    *write* the lines of `Protocol.SEED`. Raises as `trace_arch` and `keep` do, and GpuUnavailable for
    ``cuda`` without a usable GPU. Running out of memory, a crash and the end of its time are results.
    """
    from vggprof.measurement import Conditions, Execution, Protocol
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
        word(Protocol, protocol),
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


def measure_all(
    request: Request,
    batches: Sequence[int] | None,
    *,
    store: bool,
    say: Callable[[str], None],
    write: Callable[[str], None],
) -> Sweep:
    """Measure *request* at each of *batches*, or on the way to the largest that fits, and keep what is done.

    What can no longer be kept is measured all the same; the reason comes with the result. Raises as
    `vggprof.profiler.isolation.measure` does, and before any work as `keep` for a store that cannot be used.
    """
    from vggprof.profiler import isolation
    from vggprof.profiler.sweep import of_batches, to_the_largest

    arch, trouble = request.conditions.arch, list[VggprofError]()
    if store:
        runs.check()

    def one(asked: Request) -> Measurement:
        batch = asked.conditions.setup.batch
        return isolation.measure(asked, lambda text: say(f"{arch}, batch {batch}: {text}"), write)

    def done(made: Measurement) -> None:
        try:
            if store and not trouble:
                say(f"{arch}, batch {made.conditions.setup.batch}: kept as {keep(made)}")
        except VggprofError as error:
            trouble.append(error)

    sweep = to_the_largest(request, one, done) if batches is None else of_batches(request, batches, one, done)
    return replace(sweep, not_kept=trouble[0] if trouble else None)
