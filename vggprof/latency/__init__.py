"""How long a step takes on a GPU that is not here."""
