"""A run on disk: what it is, what was stored, and who may write to it."""
