"""What the VGG paper and its notebooks do with a network, besides running it: as values, and for real."""
