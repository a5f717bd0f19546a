"""Architecture specs: the grammar, its parser, and ARCH as it is written."""
