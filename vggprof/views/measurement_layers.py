"""The layers of a measurement as people read them: their times, their work, the kernels behind them."""

from collections.abc import Iterator, Mapping

from vggprof.compare.measured import MeasuredReport
from vggprof.compare.work import LayerWork
from vggprof.measurement import Measurement
from vggprof.views.document import Block, Cell, Column, Table, Unit

_COLUMNS = (
    Column("layer", Unit.TEXT),
    Column("forward", Unit.NUMBER),
    Column("dgrad", Unit.NUMBER),
    Column("wgrad", Unit.NUMBER),
    Column("backward", Unit.NUMBER),
    Column("optimizer", Unit.NUMBER),
    Column("MACs fwd", Unit.COUNT),
    Column("FLOPs/s", Unit.COUNT),
    Column("moved/s", Unit.BYTES),
    Column("of peak", Unit.PERCENT),
    Column("bound by", Unit.TEXT),
)
_AFTER_TIMES = 6  # columns of a layer's name and measured times


def layer_blocks(report: MeasuredReport) -> Iterator[Block]:
    """Yield the times of layers, beside their predictions where there are any, and what ran behind them."""
    if report.layer_works:
        rest = {each.part: each.time_ms for each in report.rests}
        whole = {each.part: each.whole_ms for each in report.rests}
        said = "whole step" if report.measurement.profiled is None else "whole profiled step"
        rows = (_parts("(not attributed)", rest), _parts(said, whole)) if rest else ()
        lines = (*map(_layer, report.layer_works), *rows)
        yield Table("Time by layer, ms", *_beside(report, lines))
    yield from _kernels(report.measurement)


def _beside(
    report: MeasuredReport, lines: tuple[tuple[Cell, ...], ...]
) -> tuple[tuple[Column, ...], tuple[tuple[Cell, ...], ...]]:
    """Return columns and *lines*, where times are predicted with those of all passes behind the measured."""
    if report.latency is None:
        return _COLUMNS, lines
    total = {name: layer.total_ms for name, layer in report.layer_latencies.items()}
    at = _AFTER_TIMES
    columns = (*_COLUMNS[:at], Column("predicted", Unit.NUMBER), *_COLUMNS[at:])
    return columns, tuple((*line[:at], total.get(str(line[0])), *line[at:]) for line in lines)


def _parts(name: str, times: Mapping[str, float]) -> tuple[Cell, ...]:
    forward, backward, optimizer = map(times.get, ("forward", "backward", "optimizer"))
    return name, forward, None, None, backward, optimizer, *(None,) * 5


def _layer(work: LayerWork) -> tuple[Cell, ...]:
    time, row = work.time, work.row
    flops, moved = work.flops_per_s, work.moved_bytes_per_s
    return (
        time.name or "(no layer)",
        time.forward_ms,
        time.dgrad_ms,
        time.wgrad_ms,
        time.backward_ms,
        time.optimizer_ms,
        None if row is None else row.macs,
        None if flops is None else int(flops),
        None if moved is None else int(moved),
        work.share_of_peak,
        None if work.bound is None else work.bound.value,
    )


def _kernels(measurement: Measurement) -> Iterator[Block]:
    rows = tuple(
        (layer.name or "(no layer)", kernel.pass_name, kernel.calls, kernel.time_ms, kernel.name)
        for layer in measurement.layers
        for kernel in layer.kernels
    )
    if rows:
        yield Table(
            "Kernels",
            (
                Column("layer", Unit.TEXT),
                Column("pass", Unit.TEXT),
                Column("calls", Unit.NUMBER),
                Column("ms", Unit.NUMBER),
                Column("kernel", Unit.TEXT),
            ),
            rows,
        )
