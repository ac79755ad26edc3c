"""Overlapping masks -> one label image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Labels

Mask = NDArray[np.bool_]


def paint(masks: Iterable[Mask], shape: tuple[int, int]) -> Labels:
    """Paint masks one over the other: where two overlap, the later one shows.

    Args:
        masks: each H x W; the first becomes 1, the second 2, ...
        shape: height and width.

    Returns:
        H x W uint32. A mask that others cover whole has no pixel left.
    """
    labels = np.zeros(shape, np.uint32)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
    return labels


def merge(
    masks: Sequence[Mask],
    shape: tuple[int, int],
    *,
    exclusive: bool,
    min_size: int = 0,
    drop_largest: bool = False,
) -> Labels:
    """Merge masks from the largest to the smallest; each connected part is an object.

    Args:
        masks: each H x W.
        shape: height and width.
        exclusive: a mask gets only pixels that no larger one has; else the smaller lie on top.
        min_size: smaller masks, and then smaller parts, are dropped. In pixels.
        drop_largest: what has the most pixels becomes background: in a segmentation of
            everything, the background is an object too.

    Returns:
        H x W uint32, ids consecutive.

    Source: `micro_sam.util.mask_data_to_segmentation`.
    """
    from skimage.measure import label

    areas = [int(np.count_nonzero(mask)) for mask in masks]
    merged = np.zeros(shape, np.uint32)
    # Stable, as the source's `sorted` is: of equals the first comes first.
    by_size = sorted(range(len(masks)), key=lambda index: -areas[index])
    for number, index in enumerate((i for i in by_size if areas[i] >= min_size), start=1):
        mask = masks[index]
        merged[mask & (merged == 0) if exclusive else mask] = number
    parts = label(merged, background=0, connectivity=1)
    sizes = np.bincount(parts.ravel())
    kept = sizes >= min_size
    if drop_largest:
        kept[np.argmax(sizes)] = False
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
    result: Labels = numbers[parts]
    return result
