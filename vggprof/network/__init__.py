"""ARCH built as a torch.nn.Module on the meta device."""
