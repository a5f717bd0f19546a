"""Real steps, measured, each in a process of its own."""
