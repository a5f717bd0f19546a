"""Ranges that nobody's answer narrows, against what cuDNN answers where it can be asked."""

import pytest

from vggprof.api import trace_arch
from vggprof.memory.forecast import Forecast
from vggprof.memory.verdict import predict
from vggprof.memory.workspaces.plans import NoAnswer, bound
from vggprof.target import Target
from vggprof.trace import Setup
from vggprof.trace.traces import Traces


@pytest.mark.parametrize(
    ("arch", "batch", "gpu"),
    [("vgg16", 32, "3060"), ("alexnet", 128, "h200"), ("resnet18", 64, "4090"), ("vgg11", 64, "t4")],
)
def test_what_cudnn_would_answer_lies_in_the_range(arch: str, batch: int, gpu: str) -> None:
    target = Target(gpu=gpu)
    software = target.software()
    if software.cudnn.library is None:
        pytest.skip("no cuDNN to ask")
    traces = Traces(lambda at: trace_arch(arch, Setup(batch=at)))
    with Forecast(traces, software) as forecast:
        timeline, answers, room = forecast.asked(batch, target.cards()[0])
    known = predict(timeline, answers, room)
    nobody = {ask: NoAnswer("nobody to ask", 0, bound(ask.query)) for ask in answers}
    ranged = predict(timeline, nobody, room)
    for name in ("peak_allocated", "peak_reserved", "process"):
        ends, exact = getattr(ranged, name), getattr(known, name)
        assert ends.likely is None
        assert ends.low <= exact.likely <= ends.high, name
