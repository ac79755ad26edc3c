"""Thin adapters, one file per upstream library, behind ``predict(image) -> labels``."""
