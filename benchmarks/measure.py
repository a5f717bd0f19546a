"""Hold the profiler's medians against torch's own benchmark, on the same steps of real networks in one run.

    python benchmarks/measure.py [--batch 4] [--turns 15] [ARCH...]

The two take turns, so that whatever else the machine does meets both. Prints each median, their ratio, and
how much of a profiled step the layers account for.
"""

import argparse
from statistics import median

import torch
from torch.utils.benchmark import Timer

from vggprof import api
from vggprof.measurement import Conditions, LayerTime
from vggprof.profiler import timing
from vggprof.profiler.capture import Watch, capture
from vggprof.profiler.layer_times import profiled_step
from vggprof.profiler.spans import Capture
from vggprof.profiler.stage import Unwatched, set_up
from vggprof.trace import Setup, Trace


def compared(arch: str, batch: int, turns: int) -> str:
    """Return a line on *arch*: both medians of a training step on this machine's CPU or GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    setup = Setup(batch=batch)
    trace = api.trace_arch(arch, setup)
    loop = set_up(Conditions(arch, setup, device), trace, Unwatched())
    loop.stage.keep = True
    watch = timing.Stopwatch(timing.CudaClock() if device == "cuda" else timing.HostClock())
    timer = Timer("step()", globals={"step": loop.step}, num_threads=torch.get_num_threads())
    loop.step()
    ours, theirs = [], []
    for _ in range(turns):
        loop.stage.observer = watch
        # Before the run that it times, torch's own runs two that it does not, and so do we.
        ours.append([watch.time(loop.step)["step"] for _ in range(3)][-1])
        loop.stage.observer = Unwatched()
        theirs.append(timer.timeit(1).mean * 1000)
    ratio = median(own / other for own, other in zip(ours, theirs, strict=True))
    seen = Watch(loop.stage.module)
    loop.stage.observer = seen
    share = _share(capture(loop.step, 4, seen, cuda=device == "cuda", trace_file=None), trace, median(ours))
    return (
        f"{arch}, batch {batch}, {device}: {median(ours):.1f} ms, "
        f"torch.utils.benchmark {median(theirs):.1f} ms, ratio {ratio:.3f}; "
        f"layers and loop account for {share:.1%}"
    )


def _share(seen: Capture, trace: Trace, step_ms: float) -> float:
    """Return the share of layers in the profiled step on the host, or in *step_ms* on a GPU."""
    step = profiled_step(seen, trace, kernels=False)
    whole = step_ms if step.whole is None else _all(step.whole)
    return sum(map(_all, step.layers)) / whole


def _all(row: LayerTime) -> float:
    return sum(time or 0 for time in (row.forward_ms, row.backward_ms, row.optimizer_ms))


def main() -> None:
    """Compare the networks that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archs", metavar="ARCH", nargs="*", default=["alexnet", "vgg11", "vgg16"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=15)
    said = parser.parse_args()
    for arch in said.archs:
        print(compared(arch, said.batch, said.turns), flush=True)


if __name__ == "__main__":
    main()
