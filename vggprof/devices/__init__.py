"""GPUs as values: the catalogue, lookup by name, and the GPU that is here."""
