"""Where to prompt: the decoder's maps -> points, one for each object that they suggest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Labels
from models.common.masks import BLOCK, connected_parts

Map = NDArray[np.float32]
Points = NDArray[np.int64]
_HALO = (16, 16)  # pixels, micro-sam's


def of_components(
    foreground: Map,
    center_distances: Map,
    boundary_distances: Map,
    *,
    foreground_threshold: float,
    center_distance_threshold: float,
    boundary_distance_threshold: float,
) -> Points:
    """One point for each connected part of what is near the middle of an object by all maps.

    Args:
        foreground: H x W, from 0 to 1; an object is where it is not below its threshold,
        center_distances: the same; its middle where this is below its threshold,
        boundary_distances: and this below its own.
        foreground_threshold: see above.
        center_distance_threshold: see above.
        boundary_distance_threshold: see above.

    Returns:
        N x 2, each x and y in pixels, in the order of the parts' ids.
    """
    middle = (center_distances < center_distance_threshold) & (
        boundary_distances < boundary_distance_threshold
    )
    return innermost(connected_parts(middle & ~(foreground < foreground_threshold)))


def of_maxima(
    foreground: Map,
    boundary_distances: Map,
    *,
    foreground_threshold: float,
    min_distance: int,
    threshold_abs: float,
) -> Points:
    """One point where the distance to the boundary is highest, within the foreground.

    Args:
        foreground: H x W, from 0 to 1.
        boundary_distances: the decoder's map, H x W, which falls from 1 to 0 inwards.
        foreground_threshold: points are only where the foreground is not below it.
        min_distance: between two points, in pixels.
        threshold_abs: points are only where the distance, from 0 to 1 inwards, exceeds it.

    Returns:
        N x 2, each x and y in pixels, the highest first.

    Source: the variant that the study compared with, in micro-sam's history (4f6d45e2).
    """
    from skimage.feature import peak_local_max

    height = 1.0 - boundary_distances
    height[foreground < foreground_threshold] = 0
    peaks = peak_local_max(
        height, min_distance=min_distance, threshold_abs=threshold_abs, exclude_border=False
    )
    points: Points = peaks[:, ::-1]
    return points


def innermost(parts: Labels) -> Points:
    """Of each part the point farthest from its boundary and from the image's border.

    Args:
        parts: H x W, ids consecutive from 1.

    Returns:
        N x 2, each x and y in pixels. Of equally far points the first in reading order; of a
        part that lies on the border alone, the first corner of its box.

    Source: `micro_sam.instance_segmentation._get_centers`. Distances too are taken block by
    block there, true no farther than a block and its halo reach; in a large part another point
    is the farthest by them.
    """
    from elf.parallel import distance_transform
    from scipy.ndimage import find_objects
    from skimage.segmentation import find_boundaries

    inside = ~find_boundaries(parts, mode="outer")
    inside[[0, -1]] = inside[:, [0, -1]] = False
    distances = distance_transform(inside, halo=_HALO, block_shape=BLOCK, n_threads=1)
    points = []
    for number, (rows, columns) in enumerate(find_objects(parts), start=1):
        own = np.where(parts[rows, columns] == number, distances[rows, columns], 0)
        row, column = np.unravel_index(own.argmax(), own.shape)
        points.append((columns.start + column, rows.start + row))
    return np.array(points, np.int64).reshape(-1, 2)
