"""Prompts of an image in tiles: which tile decodes which, and how the masks of all are joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ModelError
from benchmark.types import Labels
from models.common.masks import Patch, merge
from models.common.overlaps import Counts, Measure, Overlaps, iou, suppress
from models.common.tiles import Tile, Tiling
from models.prompting.path import PathSetting
from models.prompting.prompts import Part, Prompt


def by_tile(prompts: Sequence[Prompt], tiling: Tiling) -> dict[int, list[Prompt]]:
    """The prompts of each tile, in its own pixels; each prompt is decoded in one tile alone.

    That is the one in whose inner part the middle of its box lies, or else its first point. What
    of a box the tile's halo does not reach is cut off.

    Args:
        prompts: in pixels of the image.
        tiling: of the image.

    Returns:
        Number of a tile -> prompts, in the order of the tiles.

    Raises:
        ModelError: there are `logits_masks`, which are of the image as a whole.

    Source: `micro_sam.inference.batched_tiled_inference`, which exchanges rows and columns of
    boxes, and takes no more than one point in a prompt.
    """
    found: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        number = tiling.number_at(*_place(prompt))
        found.setdefault(number, []).append(_within(prompt, tiling[number]))
    return dict(sorted(found.items()))


def _place(prompt: Prompt) -> tuple[int, int]:
    """The pixel that decides which tile a prompt is of, its row and column."""
    values = {part.name: np.frombuffer(part.values).reshape(part.shape) for part in prompt}
    if "boxes" in values:
        column, row = values["boxes"].reshape(2, 2).mean(axis=0).round()
    else:
        column, row = values["points"][0].round()
    return int(row), int(column)


def _within(prompt: Prompt, tile: Tile) -> Prompt:
    """The same prompt in pixels of a tile."""
    row, column = tile.corner
    moved = []
    for part in prompt:
        values = np.frombuffer(part.values).reshape(part.shape)
        if part.name == "logits_masks":
            raise ModelError(
                "prompts with 'logits_masks' can't be decoded in tiles, as each is of the whole "
                "image. Use points or boxes, or model.tile=off."
            )
        if part.name == "points":
            values = values - (column, row)
        if part.name == "boxes":
            height, width = tile.shape
            values = (values - (column, row) * 2).clip(0, (width, height) * 2)
        moved.append(Part(part.name, part.shape, values.tobytes()))
    return tuple(moved)


def placed(mask: Patch, tile: Tile) -> Patch:
    """A mask of a tile, in pixels of the image.

    Of each mask the last row and column are left out, though they count in its area: so
    `micro_sam.util.apply_nms` cuts the masks of tiles by their boxes, which reach to the centres of
    the outermost pixels.
    """
    row, column = tile.corner
    return Patch(mask.mask[:-1, :-1], mask.row + row, mask.column + column, mask.area)


def over_smaller(shared: Counts, area: int, areas: Counts) -> NDArray[np.float32]:
    """Intersection over the smaller of two areas, as micro-sam divides them for tiles."""
    smaller: NDArray[np.float32] = np.minimum(area, areas).astype(np.float32)
    return shared.astype(np.float32) / smaller


class PlacedOverlaps(Overlaps):
    """How many pixels masks share that were `placed`.

    Args:
        masks: see `Overlaps`, as the others.
        measure: see there.
        least: see there.
    """

    def __init__(self, masks: Sequence[Patch], measure: Measure = iou, least: float = 0.0) -> None:
        super().__init__(masks, measure, least)
        self._ends += 1  # their boxes still reach to the pixels that were left out


def joined(
    masks: Sequence[Patch],
    scores: NDArray[np.float32],
    shape: tuple[int, int],
    setting: PathSetting,
) -> tuple[Labels, int]:
    """The best of all tiles' masks as one label image, and how many were taken.

    Args:
        masks: in the order of tiles and prompts, each `placed`.
        scores: of each, by which suppression prefers a mask.
        shape: height and width of the image.
        setting: says which are large enough, and how much they may overlap.

    Source: `micro_sam.util.apply_nms` for masks of tiles.
    """
    measure = over_smaller if setting.intersection_over_min else iou
    overlaps = PlacedOverlaps(masks, measure, setting.nms_threshold)
    numbers = np.flatnonzero(overlaps.areas > setting.min_size)
    best = suppress(overlaps, numbers, scores[numbers], setting.nms_threshold, measure)
    chosen = [masks[number] for number in best]
    return merge(chosen, shape, exclusive=True, min_size=setting.min_size), len(best)
