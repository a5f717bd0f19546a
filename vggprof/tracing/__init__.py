"""Tracing: real training steps on the meta device, recorded."""

from vggprof.tracing.live import LiveLoop, images, trace_module
from vggprof.tracing.loop import STEPS, trace_network

__all__ = ["STEPS", "LiveLoop", "images", "trace_module", "trace_network"]
