"""Choosing a model's parameters on validation images: the grid, its scores, the choice."""
