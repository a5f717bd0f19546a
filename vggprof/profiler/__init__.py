"""The profiler: real steps of a network, measured in a process of their own."""
