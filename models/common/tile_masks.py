"""Masks of a grid of points in each tile of an image, as micro-sam chooses from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmark.types import Labels
from models.common.masks import Patch, cut, merge
from models.common.tiles import Tile, Tiling

_OVERLAP = 0.7  # micro-sam's `crop_nms_thresh`


class TileMask(NamedTuple):
    """A mask that was made in one tile.

    Attributes:
        patch: in pixels of the image.
        box: left, top, right and bottom of it.
        tile: the same of the tile with its halo.
    """

    patch: Patch
    box: tuple[int, int, int, int]
    tile: tuple[int, int, int, int]


def masks_of_tile(
    generator: Any, tile: Tile, tiling: Tiling, choices: Mapping[str, Any]
) -> list[TileMask]:
    """The good ones of a tile's masks.

    Args:
        generator: `micro_sam.instance_segmentation.AutomaticMaskGenerator`, initialised with the
            tile as an image of its own.
        tile: the tile.
        tiling: of the image.
        choices: thresholds, as for its `generate`.
    """
    row, column = tile.corner
    height, width = tile.shape
    place = (column, row, column + width, row + height)
    state = {"crop_boxes": [list(place)], "original_size": tiling.shape}
    generator.set_state(generator.get_state() | state)
    found = []
    for mask in generator.generate(**choices, output_mode="rle"):
        patch = cut(_unpacked(mask["segmentation"]))
        left, top, across, down = mask["bbox"]
        found.append(
            TileMask(
                patch._replace(row=patch.row + row, column=patch.column + column),
                (left, top, left + across, top + down),
                place,
            )
        )
    return found


def joined_masks(masks: Sequence[TileMask], tiling: Tiling, with_background: bool) -> Labels:
    """The masks of all tiles as one label image, smaller ones on top.

    Args:
        masks: in the order of the tiles.
        tiling: of the image. If there are several tiles, of two masks whose boxes overlap too much
            the one of the smaller tile is left.
        with_background: whether the largest object is the background.

    Source: `micro_sam.instance_segmentation.AutomaticMaskGenerator.generate`.
    """
    if len(tiling) > 1 and masks:
        masks = _without_duplicates(masks)
    patches = [mask.patch for mask in masks]
    return merge(patches, tiling.shape, exclusive=False, drop_largest=with_background)


def _without_duplicates(masks: Sequence[TileMask]) -> list[TileMask]:
    import torch
    from torchvision.ops.boxes import batched_nms, box_area

    boxes = torch.tensor([mask.box for mask in masks])
    scores = 1 / box_area(torch.tensor([mask.tile for mask in masks]))
    one_kind = torch.zeros_like(boxes[:, 0])
    kept = batched_nms(boxes.float(), scores, one_kind, iou_threshold=_OVERLAP)
    return [masks[number] for number in kept]


def _unpacked(runs: dict[str, Any]) -> Any:
    from segment_anything.utils.amg import rle_to_mask

    return rle_to_mask(runs)
