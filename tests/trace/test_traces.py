"""Traces at any batch, made as seldom as possible."""

from dataclasses import replace

from vggprof.trace import Kind, Setup, Storage, Trace
from vggprof.trace.traces import Traces


class Maker:
    """Makes traces of one storage, of *size* bytes at a batch, and notes which were asked for."""

    def __init__(self, *, linear: bool) -> None:
        self.asked: list[int] = []
        self._linear = linear

    def __call__(self, batch: int) -> Trace:
        self.asked.append(batch)
        size = 100 + 12 * batch if self._linear else batch**2
        made = Trace("net", Setup(batch=batch), "2.15.0", (), (), (), (), ())
        kind = Kind.ACTIVATION if self._linear or batch < 8 else Kind.TEMPORARY
        return replace(made, storages=(Storage(size, kind, None, None),))


def test_two_traces_serve_all_batches() -> None:
    make = Maker(linear=True)
    traces = Traces(make)
    assert [traces(batch).storages[0].nbytes for batch in (4, 5, 100, 4, 1)] == [148, 160, 1300, 148, 112]
    assert make.asked == [4, 8]


def test_one_batch_is_one_trace() -> None:
    make = Maker(linear=True)
    assert Traces(make)(4).setup.batch == 4
    assert make.asked == [4]


def test_a_network_that_changes_with_the_batch_is_traced_at_each() -> None:
    make = Maker(linear=False)
    traces = Traces(make)
    assert [traces(batch).storages[0].nbytes for batch in (4, 5, 9)] == [16, 25, 81]
    assert make.asked == [4, 8, 5, 9]
