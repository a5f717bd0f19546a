"""Workloads that run for real; torch is known here."""
