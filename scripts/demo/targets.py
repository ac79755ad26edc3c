"""The right answers: a label image -> the maps that micro-sam's decoder predicts.

The conventions are those of `torch_em.transform.label.PerObjectDistanceTransform`, by which
micro-sam's decoders were trained and which its watershed and its prompts therefore expect: both
distances are normalised object by object, 0 at the centre (or as far inside as it gets), 1 at the
farthest pixel (or at the outline), and 1 everywhere outside. Here they are computed for all
objects at once, which every crop needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import find_boundaries

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
_EPSILON = 1e-7  # torch_em's


class Truth(NamedTuple):
    """The maps of a label image of H x W."""

    maps: Floats  # 3 x H x W, 0 to 1: foreground, distance to the centre, to the boundary
    offsets: Floats  # 2 x H x W, rows and columns from each pixel to its object's centre; 0 outside
    centers: NDArray[np.int64]  # N x 2, row and column of the centres of objects 1, 2, ...


def truth(labels: Ids) -> Truth:
    """The maps of a label image.

    Args:
        labels: H x W, ids consecutive from 1, each object one piece.
    """
    count = int(labels.max(initial=0))
    inside = labels > 0
    maps = np.ones((3, *labels.shape), np.float32)
    maps[0] = inside
    offsets = np.zeros((2, *labels.shape), np.float32)
    if not count:
        return Truth(maps, offsets, np.zeros((0, 2), np.int64))

    depth = _depth(labels)
    rows, columns = np.nonzero(inside)
    own = labels[rows, columns] - 1
    centers = _centers(rows, columns, own, labels, depth)
    away = centers[own] - np.stack([rows, columns], axis=1)
    offsets[:, rows, columns] = away.T
    distance = np.hypot(*away.T).astype(np.float32)
    maps[1, rows, columns] = distance / (_largest(distance, own, count)[own] + _EPSILON)
    # The outline's own depth is 0, so the largest value is that of the deepest pixel.
    deepest = _largest(depth[rows, columns], own, count)[own]
    shallow = deepest - depth[rows, columns]
    maps[2, rows, columns] = shallow / (_largest(shallow, own, count)[own] + _EPSILON)
    return Truth(maps, offsets, centers)


def _depth(labels: Ids) -> Floats:
    """Pixels from each object's pixel to the nearest of an outline; 0 on it and outside.

    The image's border is no outline: an object cut there is deepest at the cut.
    """
    outline = find_boundaries(labels, mode="inner")
    if not outline.any():
        return np.zeros(labels.shape, np.float32)
    depth: Floats = ndimage.distance_transform_edt(~outline).astype(np.float32)
    return depth * (labels > 0)


def _centers(
    rows: NDArray[np.intp], columns: NDArray[np.intp], own: Ids, labels: Ids, depth: Floats
) -> NDArray[np.int64]:
    """Each object's centroid, or where that lies outside, its deepest pixel."""
    areas = np.bincount(own)
    means = [np.bincount(own, weights=places) / areas for places in (rows, columns)]
    centers = np.round(np.stack(means, axis=1)).astype(np.int64)
    for index in np.flatnonzero(labels[tuple(centers.T)] != np.arange(1, len(areas) + 1)):
        alone = np.where(labels == index + 1, depth, -1)
        centers[index] = np.unravel_index(alone.argmax(), alone.shape)
    return centers


def _largest(values: Floats, own: Ids, count: int) -> Floats:
    """Of each object the largest of its values, which are 0 or more."""
    largest = np.zeros(count, np.float32)
    np.maximum.at(largest, own, values)
    return largest
