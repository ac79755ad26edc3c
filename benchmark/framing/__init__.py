"""How an image is brought to a model: scaled by a factor, cut into tiles, or as it is."""
