"""What no operator shows: workspaces of cuDNN and cuBLAS, scratch memory, and copies."""
