"""Tracing: real training steps on the meta device, recorded."""

from vggprof.tracing.loop import STEPS, trace_network

__all__ = ["STEPS", "trace_network"]
