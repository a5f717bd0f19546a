"""The process that measures: a request on standard input, messages on standard output (see `channel`)."""

import sys

from vggprof.errors import VggprofError
from vggprof.profiler import plan
from vggprof.profiler.channel import Channel, end_with_parent, own_stdout


def main() -> None:
    """Measure what is asked for, once; end early when whoever asked is gone.

    An exception that is no error of ours leaves the process: it is a crash of what is measured.
    """
    channel = Channel(own_stdout())
    request = plan.from_json(sys.stdin.buffer.readline().decode())
    end_with_parent()
    channel.say("importing torch")
    try:
        from vggprof.profiler.measuring import measured  # noqa: PLC0415 - torch takes seconds

        channel.send(measured(request, channel))
    except VggprofError as error:
        channel.fail(error)
