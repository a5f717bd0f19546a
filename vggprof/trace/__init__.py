"""The trace: what one training does, in plain values."""
