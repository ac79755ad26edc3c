"""Label images as TIFF."""

from __future__ import annotations

from benchmark.export.predicted import Predicted
from benchmark.store.tiff import tiff_bytes


def label_image(predicted: Predicted) -> bytes:
    """Write the label image as it is stored: a TIFF of H x W integers, 0 = background."""
    return tiff_bytes(predicted.labels)
