"""Small drawn images for fixtures: round cells at their native size, with ids as real ones are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cells(
    shape: tuple[int, int], count: int, seed: int, dtype: str = "uint8", first_id: int = 3
) -> tuple[NDArray[np.generic], NDArray[np.int32]]:
    """An image of bright discs on noise, and its labels.

    Args:
        shape: height and width in pixels.
        count: cells; they lie on a jittered grid and never overlap or touch.
        seed: the same seed draws the same image.
        dtype: of the image: uint8, uint16 or float32.
        first_id: the lowest id; those after it leave gaps, as real ones do.

    Returns:
        image: H x W; labels: H x W int32, 0 = background.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    columns = max(1, round((count * width / height) ** 0.5))
    rows = -(-count // columns)
    cell_h, cell_w = height / rows, width / columns
    radius = 0.36 * min(cell_h, cell_w)
    labels = np.zeros(shape, np.int32)
    y, x = np.mgrid[:height, :width]
    ids = first_id + np.cumsum(rng.integers(1, 4, count))
    for k in range(count):
        jitter = rng.uniform(-0.1, 0.1, 2)
        cy = (k // columns + 0.5 + jitter[0]) * cell_h
        cx = (k % columns + 0.5 + jitter[1]) * cell_w
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= (radius * rng.uniform(0.75, 1)) ** 2] = ids[k]
    noise = rng.normal(30, 4, shape)
    top = 200 if dtype == "uint8" else 3000
    image = np.clip(noise + np.where(labels > 0, 0.6 * top, 0), 0, top * 1.2)
    return image.astype(dtype), labels


def rgb(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A colour image (H x W x 3, uint8) of a grey one, its channels differing."""
    plain = image.astype(float)
    return np.stack([plain, plain * 0.7, 255 - plain], -1).clip(0, 255).astype(np.uint8)
