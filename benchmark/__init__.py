"""A benchmark of foundation models for cell instance segmentation.

Importing this package is light on purpose: no numpy, no torch, no Hydra. What
is heavy is imported where it is used.
"""

__version__ = "0.2.0"
