"""Peak memory: timeline, allocator, workspaces, verdict."""
