"""Tracing: real training steps on the meta device, recorded."""
