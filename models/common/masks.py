"""Overlapping masks -> one label image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Labels

Mask = NDArray[np.bool_]
BLOCK = (512, 512)  # pixels, micro-sam's


class Patch(NamedTuple):
    """A mask, cut to its box: thousands of them fit into memory where whole ones would not.

    Attributes:
        mask: h x w.
        row: where its first row lies in the image.
        column: where its first column does.
        area: in pixels.
    """

    mask: Mask
    row: int
    column: int
    area: int

    @property
    def region(self) -> tuple[slice, slice]:
        """Where it lies in the image."""
        height, width = self.mask.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)


class Runs(NamedTuple):
    """A patch, run-length coded: a mask of a whole large image takes some kilobytes.

    Attributes:
        lengths: of runs outside and inside the mask in turn, row by row; the first may be 0.
        shape: of the patch.
        row: where its first row lies in the image.
        column: where its first column does.
        area: in pixels.
    """

    lengths: NDArray[np.uint32]
    shape: tuple[int, int]
    row: int
    column: int
    area: int

    @property
    def patch(self) -> Patch:
        """The patch again."""
        inside = np.arange(len(self.lengths)) % 2 == 1
        mask = np.repeat(inside, self.lengths).reshape(self.shape)
        return Patch(mask, self.row, self.column, self.area)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First column, first row, last column, last row; zeros where it is empty."""
        height, width = self.shape
        right, bottom = self.column + max(width, 1) - 1, self.row + max(height, 1) - 1
        return self.column, self.row, right, bottom


def coded(patch: Patch) -> Runs:
    """A patch, run-length coded."""
    flat = patch.mask.ravel()
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    borders = np.concatenate([[0] * (1 + bool(flat[:1].any())), borders, [flat.size]])
    lengths = np.diff(borders).astype(np.uint32)
    return Runs(lengths, patch.mask.shape, patch.row, patch.column, patch.area)


def cut(mask: Mask) -> Patch:
    """A mask of the image's size, H x W, cut to its box: no pixels where it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return Patch(mask[:0, :0], 0, 0, 0)
    row, column = int(rows[0]), int(columns[0])
    inside = mask[row : rows[-1] + 1, column : columns[-1] + 1].copy()
    return Patch(inside, row, column, int(np.count_nonzero(inside)))


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
    masks: Sequence[Mask | Patch | Runs],
    shape: tuple[int, int],
    *,
    exclusive: bool,
    min_size: int = 0,
    drop_largest: bool = False,
) -> Labels:
    """Merge masks from the largest to the smallest; each connected part is an object.

    Args:
        masks: each H x W, or cut to its box, and coded.
        shape: height and width.
        exclusive: a mask gets only pixels that no larger one has; else the smaller lie on top.
        min_size: smaller masks, and then smaller parts, are dropped. In pixels.
        drop_largest: what has the most pixels becomes background: in a segmentation of
            everything, the background is an object too.

    Returns:
        H x W uint32, ids consecutive.

    Source: `micro_sam.util.mask_data_to_segmentation`.
    """
    patches = [mask if isinstance(mask, Patch | Runs) else cut(mask) for mask in masks]
    merged = np.zeros(shape, np.uint32)
    # Stable, as the source's is: of equals the first comes first.
    patches.sort(key=lambda patch: -patch.area)
    large = (patch for patch in patches if patch.area >= min_size)
    decoded = (patch.patch if isinstance(patch, Runs) else patch for patch in large)
    for number, patch in enumerate(decoded, start=1):
        target = merged[patch.region]
        target[patch.mask & (target == 0) if exclusive else patch.mask] = number
    parts = connected_parts(merged)
    sizes = np.bincount(parts.ravel())
    kept = sizes >= min_size
    if drop_largest:
        kept[np.argmax(sizes)] = False
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
    result: Labels = numbers[parts]
    if result.all():
        # A fault of the source's that published scores were made with: it numbers from 0 on
        # what is there, so that without any background the first object is taken for it.
        result -= 1
    return result


def connected_parts(image: NDArray[Any]) -> Labels:
    """Label the connected parts of equal value, pixels being neighbours by their sides.

    Block by block, with elf, as micro-sam does: beyond one block, its ids are in another order
    than those of a labelling of the whole.

    Args:
        image: H x W, bool or integer; 0 is background.

    Returns:
        H x W uint32, ids consecutive.
    """
    from elf.parallel import label

    # One thread: starting more costs most images more than it saves.
    out = np.zeros(image.shape, np.uint32)
    labels: Labels = label(image, out=out, block_shape=BLOCK, n_threads=1)
    return labels
