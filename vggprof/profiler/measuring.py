"""One measurement, from a request to what came out, in the process that was started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from vggprof.errors import UsageError
from vggprof.files import write_whole
from vggprof.measurement import Execution, Measurement, Memory, Protocol, Status, Timing
from vggprof.profiler import seed_protocol, timing
from vggprof.profiler.capture import Watch, capture
from vggprof.profiler.channel import Channel
from vggprof.profiler.environment import here, resident_peak_bytes
from vggprof.profiler.first_steps import AllocatorLog
from vggprof.profiler.graph import as_graph
from vggprof.profiler.layer_times import profiled_step
from vggprof.profiler.place import choose_device, lift_limit, prepare, ran_out_of_memory
from vggprof.profiler.plan import Request
from vggprof.profiler.sensors import Sensors, watched
from vggprof.profiler.stage import Loop, Unwatched, set_up
from vggprof.tracing import STEPS

# Steps under the profiler, and how long they may take together; the first of several only warms it up.
_PROFILED, _PROFILED_MS = 6, 10_000.0

_NO_KERNELS = (
    "layers cannot be timed: torch.profiler saw no kernel, for CUPTI is not usable here or another profiler "
    "has it; --no-layers does without"
)


def measured(request: Request, channel: Channel) -> Measurement:
    """Measure what *request* asks for; running out of memory is a result.

    What is known so far goes through *channel* at each stage, so that nothing is lost with this process.
    Raises GpuUnavailable, UsageError and ArchError; any other exception is a crash of what is measured.
    """
    device, why_not = choose_device(request.conditions.device)
    if why_not is not None:
        channel.say(f"measuring on the CPU: {why_not}")
    conditions = replace(request.conditions, device=device)
    with watched(_uuid(device)) as sensors:
        environment = replace(here(device), driver=sensors.driver)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        known = Measurement(conditions, environment, Status.CRASHED, "starting", began=began)
        run = _Run(replace(request, conditions=conditions), channel, sensors, known)
        try:
            run.measure()
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            lift_limit()  # to tell takes memory, too
            return run.ended(Status.OOM, _one_line(error))
        return run.ended(Status.OK)


class _Run:
    """The stages of a measurement, and what is known after each."""

    def __init__(self, request: Request, channel: Channel, sensors: Sensors, known: Measurement) -> None:
        self._request, self._channel, self._sensors = request, channel, sensors
        self._known = known
        self._log: AllocatorLog | None = None
        self._missing: list[str] = []  # why something that was asked for is not there
        self._cuda = request.conditions.device == "cuda"

    def measure(self) -> None:
        """Go through all stages."""
        conditions, plan = self._request.conditions, self._request.plan
        prepare(conditions, seed=plan.seed)
        self._stage("building the network")
        loop = self._first_steps()
        loop.stage.keep = True
        clock = timing.CudaClock() if self._cuda else timing.HostClock()
        watch = timing.Stopwatch(clock)
        step = as_graph(loop) if conditions.execution is Execution.GRAPH else loop.step
        if conditions.protocol is Protocol.SEED:
            self._stage("timing passes")
            timed = seed_protocol.run(loop, plan.steps, clock.wait, self._channel.write)
            self._known = replace(self._known, timing=timed)
            return
        self._stage("warming up")
        timing.warm_up(step, clock, plan.warmup_s)
        self._stage("timing steps")
        if conditions.execution is not Execution.GRAPH:
            loop.stage.observer = watch
        timed = timing.timed(lambda: watch.time(step), plan, self._sensors.throttled, clock=clock.name)
        loop.stage.observer = Unwatched()
        self._known = replace(self._known, timing=timed)
        if plan.layers and conditions.execution is Execution.EAGER:
            self._stage("profiling layers")
            self._profile(loop, timed)

    def ended(self, status: Status, *said: str) -> Measurement:
        """Return all that is known at the end; its message is what is *said*, and what is missing."""
        self._sensors.look()
        memory = self._memory()
        message = "; ".join((*said, *self._missing)) or None
        return replace(
            self._known, status=status, message=message, memory=memory, sensors=self._sensors.readings
        )

    def _stage(self, doing: str) -> None:
        """Begin a stage: say so, and send what is known before it."""
        self._channel.say(doing)
        self._known = replace(self._known, message=doing)
        self._channel.send(self._known)

    def _first_steps(self) -> Loop:
        """Return the loop after its first steps, whose memory is recorded."""
        conditions = self._request.conditions
        if self._cuda:
            torch.cuda.init()  # type: ignore[no-untyped-call]
            self._log = AllocatorLog()
        loop = set_up(conditions, self._request.trace, self._log or Unwatched())
        compiles = conditions.execution is Execution.COMPILE
        self._stage("compiling in the first steps" if compiles else "running the first steps")
        if compiles:
            loop.stage.module.compile()
        with _compiling() if compiles else nullcontext():
            for _ in range(STEPS if self._cuda else 1):
                loop.step()
        self._sensors.look()
        self._known = replace(self._known, memory=self._memory())
        loop.stage.observer = Unwatched()
        return loop

    def _memory(self) -> Memory:
        """Return the memory of the first steps, up to now where they are not over."""
        if self._known.memory is not None:
            return self._known.memory
        if self._log is None:
            return Memory(process_bytes=None if self._cuda else resident_peak_bytes())
        memory = self._log.memory()
        with self._file(self._request.plan.snapshot_file) as snapshot:
            self._log.end(snapshot)
        readings = self._sensors.readings
        process = readings[-1].process_bytes if readings else None
        return replace(
            memory,
            process_bytes=max((read.process_bytes or 0 for read in readings), default=0) or None,
            gpu_bytes=max((read.used_bytes or 0 for read in readings), default=0) or None,
            context_bytes=None if process is None else process - self._log.reserved_bytes,
        )

    @contextmanager
    def _file(self, path: str | None) -> Iterator[str | None]:
        """Give torch a name to write what is for *path*, which then gets it whole; None for None.

        By itself torch would replace even a device, and be silent about a full disk. What fails is noted and
        loses nothing else.
        """
        if path is None:
            yield None
            return
        with TemporaryDirectory() as folder:
            made = Path(folder, Path(path).name)
            yield str(made)
            try:
                write_whole(Path(path), made.read_bytes())
            except OSError as error:
                self._missing.append(f"{path} cannot be written: {error.strerror}")

    def _profile(self, loop: Loop, timed: Timing) -> None:
        plan = self._request.plan
        most = int(_PROFILED_MS / timed.step.values_ms[-1])
        watch = Watch(loop.stage.module)
        loop.stage.observer = watch
        with self._file(plan.trace_file) as trace:
            seen = capture(loop.step, max(1, min(_PROFILED, most)), watch, cuda=self._cuda, trace_file=trace)
        if self._cuda and not seen.kernels:
            self._missing.append(_NO_KERNELS)
            return
        step = profiled_step(seen, self._request.trace, kernels=plan.kernels)
        self._known = replace(self._known, layers=step.layers, profiled=step.whole)


@contextmanager
def _compiling() -> Iterator[None]:
    """Raise UsageError for what torch.compile cannot compile here."""
    try:
        yield
    except Exception as error:
        if ran_out_of_memory(error):
            raise
        raise UsageError(f"--execution compile: torch.compile fails here: {_one_line(error)}") from error


def _uuid(device: str) -> str | None:
    return str(torch.cuda.get_device_properties(0).uuid) if device == "cuda" else None


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:500] if isinstance(error, torch.OutOfMemoryError) else (lines or [repr(error)])[0]
