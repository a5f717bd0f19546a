"""Analyzers: what a trace says, as plain values; no torch here."""
