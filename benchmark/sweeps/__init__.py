"""Sweeps: many jobs, in processes that do those with the same weights."""
