"""The steps that the study did to most of its data sets, written down a second time.

Source: `_process_images` and `_make_center_crop` in micro-sam's scripts/apg_experiments/util.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[Array, Array]
Pairs = list[Pair]


def window(array: Array, top: int, left: int) -> Array:
    """Cut 512 x 512 pixels out, or as many as there are; the window is moved inside first."""
    height, width = min(512, array.shape[0]), min(512, array.shape[1])
    top = max(0, min(top, array.shape[0] - height))
    left = max(0, min(left, array.shape[1] - width))
    return array[top : top + height, left : left + width]


def middle(array: Array) -> Array:
    """At most 512 x 512 pixels of the first two axes; an odd one is cut at the end."""
    height, width = min(512, array.shape[0]), min(512, array.shape[1])
    return window(array, (array.shape[0] - height) // 2, (array.shape[1] - width) // 2)


def stored(pairs: Iterable[Pair], minimum: int, limit: int = 0, ignore: int = 0) -> Pairs:
    """Few values, background included, leave an image out.

    The limit is looked at only once an image was stored, and lets one more through.
    """
    kept = []
    for i, (image, label) in enumerate(pairs):
        if ignore:
            label[label == ignore] = 0
        values = len(np.unique(label))
        if values == 1 or values < minimum:
            continue
        kept.append((image, label))
        if limit and i == limit:
            break
    return kept


def limit(split: str) -> int:
    """How many images a split may have; 0: any number."""
    return 100 if split == "val" else 0
