"""Prompts of SAM as values: equal ones are found, so that each is decoded once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.common.masks import Patch

_BOX_EXTENSION = 0.01  # of its width and height, on each side

KINDS: Mapping[str, tuple[int | None, ...]] = {
    "points": (None, 2),
    "point_labels": (None,),
    "boxes": (4,),
    "logits_masks": (1, None, None),
}
"""What a prompt may consist of, by the names of `micro_sam.inference.batched_inference`, and the
shape of each; None: any length."""


class Part(NamedTuple):
    """One array of a prompt, as a value that can be compared and hashed.

    Attributes:
        name: one of `KINDS`.
        shape: of the array.
        values: its float64 values as bytes.
    """

    name: str
    shape: tuple[int, ...]
    values: bytes


Prompt = tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts of one image, all of one kind: points, boxes, or both for each.

    Attributes:
        points: P x K x 2, each x and y in pixels; None: boxes alone.
        point_labels: P x K, 1: in the object, 0: not in it; as many as points.
        boxes: P x 4, left, top, right and bottom in pixels; None: points alone.
        logits_masks: P x 1 x h x w, a first guess in logits at the decoder's resolution; None:
            there is none.

    Raises:
        ValueError: as of `split`.
    """

    points: NDArray[Any] | None = None
    point_labels: NDArray[Any] | None = None
    boxes: NDArray[Any] | None = None
    logits_masks: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        split(self.arrays)

    @classmethod
    def of_points(cls, points: NDArray[Any]) -> Prompts:
        """One point in each object, N x 2."""
        return cls(points[:, None], np.ones((len(points), 1)))

    @classmethod
    def joined(cls, prompts: Sequence[Prompt]) -> Prompts:
        """Single prompts of one kind; of none there are no points."""
        return cls(**stack(prompts)) if prompts else cls.of_points(np.zeros((0, 2)))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What there is, by the names of `KINDS`."""
        every = {name: getattr(self, name) for name in KINDS}
        return {name: array for name, array in every.items() if array is not None}

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))


def split(arrays: Mapping[str, Any]) -> list[Prompt]:
    """Split arrays of prompts into the single ones.

    Args:
        arrays: by the names of `KINDS`, each N x the shape there: `points` (x and y in pixels)
            with `point_labels` (1: of the object, 0: not of it), `boxes` (left, top, right and
            bottom in pixels), `logits_masks`.

    Raises:
        ValueError: a name or shape is another, points and their labels differ in number, or there
            are neither points nor boxes.
    """
    plain = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    for name, array in plain.items():
        if name not in KINDS:
            raise ValueError(f"'{name}' is none of {', '.join(KINDS)}")
        found, wanted = array.shape[1:], KINDS[name]
        if len(found) != len(wanted) or any(
            side not in (None, length) for side, length in zip(wanted, found, strict=True)
        ):
            sides = " x ".join(["N", *("any" if side is None else str(side) for side in wanted)])
            raise ValueError(f"'{name}' has the shape {array.shape}; it must be {sides}")
    if ("points" in plain) != ("point_labels" in plain):
        raise ValueError("'points' and 'point_labels' belong together, and one is missing")
    if not {"points", "boxes"} & plain.keys():
        raise ValueError("there are neither 'points' nor 'boxes'")
    if "points" in plain and plain["points"].shape[:-1] != plain["point_labels"].shape:
        raise ValueError("'points' and 'point_labels' differ in number")
    if len({len(array) for array in plain.values()}) > 1:
        raise ValueError(f"{', '.join(map(repr, plain))} differ in number")
    number = len(next(iter(plain.values())))
    return [
        tuple(Part(name, array.shape[1:], array[row].tobytes()) for name, array in plain.items())
        for row in range(number)
    ]


def stack(prompts: Sequence[Prompt]) -> dict[str, NDArray[np.float64]]:
    """The opposite of `split`, of prompts of one kind."""
    return {
        parts[0].name: np.stack([np.frombuffer(p.values).reshape(p.shape) for p in parts])
        for parts in zip(*prompts, strict=True)
    }


def kind(prompt: Prompt) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What prompts have to agree in to be in one batch."""
    return tuple((part.name, part.shape) for part in prompt)


def of_points(points: NDArray[Any]) -> list[Prompt]:
    """Prompts of one point each, which lies in the object.

    Args:
        points: N x 2, each x and y in pixels.
    """
    return split({"points": points[:, None], "point_labels": np.ones((len(points), 1))})


def around(masks: Iterable[Patch], shape: tuple[int, int]) -> list[Prompt]:
    """A box around each mask, a little larger than the mask's own.

    Args:
        masks: an empty one gets a box of no size in the corner.
        shape: height and width of the image. As in the source, its height limits a box to the
            right, and its width to the bottom: images that are not square have other boxes at the
            border than they should.

    Source: `micro_sam.instance_segmentation._derive_box_prompts`.
    """
    boxes = []
    for mask in masks:
        left, top = mask.column, mask.row
        down, across = (max(side - 1, 0) for side in mask.mask.shape)  # from pixel to pixel
        boxes.append((
            max(left - across * _BOX_EXTENSION, 0),
            max(top - down * _BOX_EXTENSION, 0),
            min(left + (1 + _BOX_EXTENSION) * across, shape[0]),
            min(top + (1 + _BOX_EXTENSION) * down, shape[1]),
        ))  # fmt: skip
    return split({"boxes": np.reshape(boxes, (-1, 4))})
