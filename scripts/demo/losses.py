"""What is minimised: how far the networks' answers are from a batch's truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from demo.crops import KINDS, Batch
from demo.turns import turned_maps
from models.demo.encoder import OFFSET, STRIDE

# Masks are cut from logits at 0, whatever their steepness; but SAM's stability score compares cuts
# at -1 and +1. Small objects are all edge: of a nucleus ten pixels wide at SAM's resolution, logits
# that are probabilities' own never reach the 0.95 that mask generation asks for. So the
# network's logits are this many times those.
SHARPNESS = 8.0
_NEAR = 6  # pixels of a mask beyond its object where every pixel counts in full
# A pixel far from its object is nothing to a mean, but to mask generation it is: the mask's box, by
# which copies are recognised, then reaches across the image, and each such speck becomes an object.
_SPECKS = 16  # pixels, the worst of those farther away
_WEIGHTS = {
    "foreground": 1.0,
    "foreground_dice": 1.0,
    "center": 4.0,
    "boundary": 4.0,
    "place": 0.5,
    "offset": 2.0,
    # APG loses by its masks, see `demo.checks.stages`.
    "mask": 2.0,
    "mask_dice": 2.0,
    "specks": 1.0,
    "iou": 1.0,
    # Answers to a crop and to its turned twin that differ: at least one of them is wrong. Both are
    # small already, and squares of what differs.
    "twin_masks": 5.0,
    "twin_maps": 20.0,
}


def losses(
    sam: Any, decoder: Any, batch: Batch, bfloat16: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """All losses of a batch.

    Args:
        sam: the model, its encoder, prompt encoder and mask decoder.
        decoder: micro-sam's.
        batch: of arrays or tensors.
        bfloat16: whether matrices and convolutions are multiplied so. Not the codes of places: a
            number of 8 bits tells places apart that are two pixels away.

    Returns:
        What to minimise, and its parts by name, not yet weighted.
    """
    tensors = Batch(*map(torch.as_tensor, batch))
    grey, origin, labels, objects = tensors.grey, tensors.origin, tensors.labels, tensors.objects
    with _products(bfloat16):
        found = sam.image_encoder.features(grey, origin)
        logits = decoder.logits(found.embedding)
    parts = _map_losses(logits.float(), tensors.maps)
    parts |= _place_losses(found.places.float(), tensors.places, tensors.pure)
    code = sam.prompt_encoder.get_dense_pe()
    rows, masks = [], []
    for index in range(len(grey)):
        embedding = found.embedding[index : index + 1]
        kind = KINDS[int(tensors.kinds[index])]
        points = tensors.points[index] if kind != "boxes" else None
        boxes = tensors.boxes[index] if kind != "points" else None
        own, ious = prompted(sam, code, embedding, points, origin[index], bfloat16, boxes)
        wanted = labels[index][None] == objects[index][:, None, None]
        rows.append(_mask_losses(own, ious, wanted, objects[index] > 0))
        masks.append(own)
    parts |= {name: torch.stack([row[name] for row in rows]).mean() for name in rows[0]}
    parts |= _twin_losses(masks, logits.float(), objects > 0, tensors.turns.tolist())
    return sum((_WEIGHTS[name] * part for name, part in parts.items()), torch.zeros(())), parts


def prompted(
    sam: Any,
    code: Tensor,
    embedding: Tensor,
    points: Tensor | None,
    origin: Tensor,
    bfloat16: bool = False,
    boxes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """All four masks for each prompt, as SAM makes them, in a window of its frame.

    Args:
        sam: the model.
        code: what its prompt encoder gives for the places of the whole frame.
        embedding: 1 x 64 x h x w, of the window.
        points: P x 2, x and y in SAM's 1024 x 1024; None: boxes alone.
        origin: row and column of the window's first pixel there.
        bfloat16: see `losses`.
        boxes: P x 4, left, top, right and bottom there; None: points alone.

    Returns:
        Logits, P x 4 x 4h x 4w, the first the single mask; and the IoU that SAM expects, P x 4.
    """
    height, width = embedding.shape[-2:]
    row, column = (int(value) // STRIDE for value in origin)
    meant = None if points is None else (points[:, None], torch.ones(len(points), 1))
    sparse, dense = sam.prompt_encoder(meant, boxes, None)
    with _products(bfloat16):
        logits, ious = sam.mask_decoder.predict_masks(
            embedding,
            code[..., row : row + height, column : column + width],
            sparse,
            dense[..., :height, :width],
        )
    return logits.float(), ious.float()


def _products(bfloat16: bool) -> torch.autocast:
    """The type of products.

    Without torch's cache of converted weights: threads share it, and gradients would be added up in
    an order that depends on which thread converted a weight first.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=bfloat16, cache_enabled=False)


def _map_losses(logits: Tensor, maps: Tensor) -> dict[str, Tensor]:
    """Of micro-sam's decoder: B x 3 x h x w each."""
    found = torch.sigmoid(logits)
    inside = maps[:, 0]
    # Outside of objects neither distance is ever asked for, save close by, by smoothing.
    weight = inside + 0.05 * (1 - inside)
    errors = (weight[:, None] * (found[:, 1:] - maps[:, 1:]).square()).sum(dim=(0, 2, 3))
    center, boundary = errors / weight.sum()
    return {
        "foreground": F.binary_cross_entropy_with_logits(logits[:, 0], inside),
        "foreground_dice": _dice(found[:, :1], maps[:, :1]).mean(),
        "center": center,
        "boundary": boundary,
    }


def _place_losses(found: Tensor, places: Tensor, pure: Tensor) -> dict[str, Tensor]:
    """Of what the encoder goes by: B x 3 x h x w each, and B x 1 x h x w."""
    errors = F.smooth_l1_loss(found[:, 1:], places[:, 1:] / OFFSET, reduction="none", beta=0.1)
    return {
        "place": F.binary_cross_entropy_with_logits(found[:, :1], places[:, :1]),
        "offset": (errors * pure).sum() / (2 * pure.sum() + 1),
    }


def _mask_losses(logits: Tensor, ious: Tensor, wanted: Tensor, real: Tensor) -> dict[str, Tensor]:
    """Of one crop's masks.

    APG takes the single mask, mask generation the other three: of these the best is trained, so
    that they may differ, and all of them a little, so that none is left behind.

    Args:
        logits: P x 4 x h x w.
        ious: P x 4.
        wanted: P x 2h x 2w, the object's pixels at the encoder's resolution.
        real: P, whether the point means an object at all.
    """
    logits, target = logits / SHARPNESS, F.avg_pool2d(wanted[:, None].float(), 2)
    near = target
    for size in ((2 * _NEAR + 1, 1), (1, 2 * _NEAR + 1)):
        near = F.max_pool2d(near, size, stride=1, padding=(size[0] // 2, size[1] // 2))
    near = (near > 0).float()
    far = 1 - near
    # Both regions count alike, however much larger than an object the crop is.
    share_near, share_far = (
        region / region.sum(dim=(2, 3), keepdim=True).clamp(min=1) for region in (near, far)
    )
    wrong = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    entropy = (wrong * (share_near + share_far)).sum(dim=(2, 3))
    dice = _dice(torch.sigmoid(logits), target)
    specks = (wrong * far).flatten(2).topk(_SPECKS, sorted=False).values.mean(dim=2)

    with torch.no_grad():
        # As SAM enlarges a mask before it is cut: of pixels as coarse as the logits', those of
        # an edge make an object of ten pixels look worse than it will be.
        hit, wanted = _enlarged(logits) > 0, wanted[:, None]
        both, either = ((hit & wanted).sum(dim=(2, 3)), (hit | wanted).sum(dim=(2, 3)))
        # A point in the background means no object: whatever mask it gets is no good.
        quality = torch.where(real[:, None], both / either.clamp(min=1), 0.0)
        best = (entropy + dice)[:, 1:].argmin(dim=1, keepdim=True) + 1
        share = torch.full_like(entropy, 0.05).scatter(1, best, 0.35)
        share[:, 0] = 0.55
        share = share * real[:, None] / real.sum().clamp(min=1)
    return {
        "mask": (entropy * share).sum(),
        "mask_dice": (dice * share).sum(),
        "specks": (specks * share).sum(),
        "iou": (ious - quality).square().mean(),
    }


def _twin_losses(
    masks: Sequence[Tensor], maps: Tensor, real: Tensor, turns: Sequence[int]
) -> dict[str, Tensor]:
    """How much the answers to twins differ from those to the crops before them, turned.

    Args:
        masks: of each crop, logits, P x 4 x h x w.
        maps: logits of the decoder's maps, B x 3 x h x w.
        real: B x P, whether the point means an object at all.
        turns: of each crop, see `Batch`.
    """
    apart, unlike = maps.new_zeros(()), maps.new_zeros(())
    twins = [(index, turn) for index, turn in enumerate(turns) if turn]
    for index, turn in twins:
        first, second = (torch.sigmoid(masks[i] / SHARPNESS) for i in (index - 1, index))
        each = _dice(turned_maps(first, turn), second)[real[index]]
        if len(each):
            # The single mask counts as much as the other three.
            apart = apart + (each[:, 0].mean() + each[:, 1:].mean()) / 2 / len(twins)
        first, second = torch.sigmoid(maps[index - 1]), torch.sigmoid(maps[index])
        unlike = unlike + (turned_maps(first, turn) - second).square().mean() / len(twins)
    return {"twin_masks": apart, "twin_maps": unlike}


def _enlarged(logits: Tensor) -> Tensor:
    """P x 4 x h x w, at twice the resolution, as `Sam.postprocess_masks` interpolates."""
    return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def _dice(found: Tensor, target: Tensor) -> Tensor:
    """1 - Dice's coefficient over the last two axes, 0 where both are equal, soft or not."""
    both = (found * target).sum(dim=(-2, -1))
    total = found.square().sum(dim=(-2, -1)) + target.square().sum(dim=(-2, -1))
    return 1 - (2 * both + 1) / (total + 1)
