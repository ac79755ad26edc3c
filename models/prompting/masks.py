"""Prompts -> masks: each distinct prompt is decoded once, however often it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from models.common.masks import Patch
from models.prompting.promptable import MaskLogits, Promptable
from models.prompting.prompts import Prompt, kind, stack

Threshold = float | Literal["auto"]

_AT_ONCE_ON_CPU = 8
"""More prompts at a time are no quicker there, and the rest of a batch costs as much as prompts."""
_STABILITY_OFFSET = 1.0  # in logits, on either side of the threshold
_WINDOW, _BINS, _EPS = 31, 64, 1e-6  # of the local threshold, micro-sam's


class Way(NamedTuple):
    """How a prompt becomes a mask.

    Attributes:
        multimask: whether the mask is, of the three that the model offers, the one that it expects
            the highest IoU of; else its single one.
        threshold: logits above it belong to the mask; `auto`: above the highest of Otsu's
            thresholds in the neighbourhoods of all pixels, at least 0.
    """

    multimask: bool = False
    threshold: Threshold = 0.0


class Pool(NamedTuple):
    """Masks of distinct prompts, made in one way.

    Attributes:
        numbers: where the mask of a prompt is in the two lists.
        masks: some may be empty.
        scores: the IoU that the model itself expects, times how little the mask depends on where
            its logits are cut; NaN where nothing would be left of it.
    """

    numbers: dict[Prompt, int]
    masks: list[Patch]
    scores: list[float]

    def of(self, prompt: Prompt) -> Patch:
        """The mask of a prompt."""
        return self.masks[self.numbers[prompt]]


def decode(
    model: Promptable, asked: Iterable[tuple[Way, Iterable[Prompt]]], batch_size: int
) -> tuple[dict[Way, Pool], int]:
    """Make the masks of prompts.

    Batches are always full: the last prompt is repeated in what is left of the last one. A matrix
    product may round otherwise for another number of rows, so that in a smaller batch a mask would
    depend on how many prompts there are besides its own.

    Args:
        model: it has encoded the image.
        asked: prompts, and the way to make masks of them.
        batch_size: prompts at a time; on a CPU, 8 at most.

    Returns:
        The masks by the way that they are made in, and how many prompts were decoded. Prompts with
        the same `multimask` are decoded once for all thresholds, and have masks of each.
    """
    wanted: dict[bool, tuple[dict[Threshold, None], dict[Prompt, None]]] = {}
    for way, prompts in asked:
        thresholds, distinct = wanted.setdefault(way.multimask, ({}, {}))
        thresholds[way.threshold] = None
        distinct |= dict.fromkeys(prompts)
    pools = {
        Way(multimask, threshold): Pool({}, [], [])
        for multimask, (thresholds, _) in wanted.items()
        for threshold in thresholds
    }
    if model.device == "cpu":
        batch_size = min(batch_size, _AT_ONCE_ON_CPU)
    for multimask, (thresholds, distinct) in wanted.items():
        for batch in _batches(distinct, batch_size):
            found = _predicted(model, batch, multimask, batch_size)
            for threshold in thresholds:
                pool = pools[Way(multimask, threshold)]
                for prompt, mask, score in zip(batch, *_cut(found, threshold), strict=True):
                    pool.numbers[prompt] = len(pool.masks)
                    pool.masks.append(mask)
                    pool.scores.append(score)
    return pools, sum(len(distinct) for _, distinct in wanted.values())


def _batches(prompts: Iterable[Prompt], size: int) -> Iterable[list[Prompt]]:
    kinds: dict[Any, list[Prompt]] = {}
    for prompt in prompts:
        kinds.setdefault(kind(prompt), []).append(prompt)
    for alike in kinds.values():
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _predicted(
    model: Promptable, prompts: list[Prompt], multimask: bool, batch_size: int
) -> MaskLogits:
    """One mask of each prompt: N x ... instead of N x C x ..."""
    import torch

    number = len(prompts)
    logits, ious, small, upsampling = model.decode(
        stack([*prompts, *prompts[-1:] * (batch_size - number)]), multimask
    )
    rows = torch.arange(number, device=ious.device)
    best = ious[:number].max(dim=1)[1] if multimask else torch.zeros_like(rows)
    if small is not None:
        small = small[rows, best]
    return MaskLogits(logits[rows, best], ious[rows, best], small, upsampling)


def _cut(found: MaskLogits, threshold: Threshold) -> tuple[list[Patch], list[float]]:
    """The masks at a threshold, and their scores."""
    import torch

    logits, ious, small, upsampling = found
    levels: Any = threshold
    if threshold == "auto":
        levels = torch.stack([local_threshold(one) for one in small])
    made = upsampling.thresholded(logits, levels, _STABILITY_OFFSET)
    inner, outer = (torch.tensor([getattr(m, name) for m in made]) for name in ("inner", "outer"))
    scores: list[float] = (ious.cpu() * (inner / outer)).tolist()
    return [one.mask for one in made], scores


def local_threshold(logits: Any) -> Any:
    """The highest of Otsu's thresholds in the square neighbourhoods of all pixels, at least 0.

    Args:
        logits: h x w, float32.

    Returns:
        A tensor without dimensions.

    Source: `micro_sam.inference._local_otsu_threshold`, which puts all neighbourhoods into memory,
    tens of gigabytes for a batch. Here, counts of a bin are sums over squares, of which running
    sums are kept; they are whole numbers, so that the result is equal.
    """
    import torch

    low = logits.min()
    span = (logits.max() - low).clamp_min(_EPS)
    half = _WINDOW // 2
    padded = torch.nn.functional.pad((logits - low) / span, (half,) * 4)
    bins = (padded * (_BINS - 1)).long().clamp(0, _BINS - 1)
    counts = torch.stack([_square_sums(bins == number) for number in range(_BINS)])
    shares = counts.to(torch.float32).flatten(1)[None]  # 1 x bins x pixels, as in the source
    shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(_EPS)
    levels = torch.arange(_BINS, device=logits.device, dtype=torch.float32).view(1, _BINS, 1)
    below = torch.cumsum(shares, dim=1)
    means = torch.cumsum(shares * levels, dim=1)
    above = 1.0 - below
    first = means / below.clamp_min(_EPS)
    second = (means[:, -1:] - means) / above.clamp_min(_EPS)
    chosen = torch.argmax(below * above * (first - second) ** 2, dim=1)
    thresholds = low + chosen.to(torch.float32) / (_BINS - 1) * span
    return thresholds.clamp_min(0.0).amax()


def _square_sums(inside: Any) -> Any:
    """How many pixels are set in each square of the window's side, by running sums."""
    import torch

    sums = torch.nn.functional.pad(inside.to(torch.int32), (1, 0, 1, 0))
    sums = sums.cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32)
    w = _WINDOW
    return sums[w:, w:] - sums[:-w, w:] - sums[w:, :-w] + sums[:-w, :-w]
