"""Where prompts come from: the labels of any segmenter, or a source that says itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from benchmark.types import Image, Labels, Segmenter, check_labels
from models.common.checks import check_at_least_one
from models.prompting.points import innermost
from models.prompting.prompts import Prompts

OF_LABELS = ("points", "boxes", "both")
"""What becomes a prompt of each object of a label image: its innermost point, its box, or both."""
OWN = "own"
"""The prompts that a source gives itself."""


@runtime_checkable
class PromptSource(Protocol):
    """What says where to prompt."""

    def prompts(self, image: Image) -> Prompts:
        """The prompts of one image.

        Args:
            image: H x W or H x W x C, any integer or finite float dtype.
        """
        ...


class Grid:
    """Points on a regular grid, as SAM's mask generator sets them.

    Args:
        points_per_side: points along each side of the image.

    Raises:
        ValueError: `points_per_side` is below 1.
    """

    version: ClassVar[int] = 1

    def __init__(self, points_per_side: int = 32) -> None:
        check_at_least_one(points_per_side=points_per_side)
        self._per_side = points_per_side

    def prompts(self, image: Image) -> Prompts:
        """The grid of one image, row by row."""
        places = (np.arange(self._per_side) + 0.5) / self._per_side
        x, y = np.meshgrid(places * image.shape[1], places * image.shape[0])
        return Prompts.of_points(np.stack([x.ravel(), y.ravel()], axis=1))


class OfLabels:
    """A prompt for each object that a segmenter finds.

    Args:
        segmenter: any.
        kind: one of `OF_LABELS`.
    """

    def __init__(self, segmenter: Segmenter, kind: str) -> None:
        self._segmenter, self._kind = segmenter, kind

    def prompts(self, image: Image) -> Prompts:
        """The prompts of the objects of one image, in the order of their ids."""
        return prompts_of(self._segmenter, image, [self._kind])[self._kind]


def check_source(source: object, kind: str) -> None:
    """Check that a source gives prompts of a kind.

    Raises:
        ValueError: it does not, or there is no such kind.
    """
    if kind not in (*OF_LABELS, OWN):
        raise ValueError(f"prompts is '{kind}': give one of {', '.join((*OF_LABELS, OWN))}")
    if _kind(source, kind) is None:
        found = type(source).__name__
        raise ValueError(
            f"the source {found} gives no prompts '{kind}'; "
            + (f"give {OWN}" if isinstance(source, PromptSource) else "give points, boxes or both")
        )


def prompts_of(source: object, image: Image, kinds: Iterable[str]) -> dict[str, Prompts]:
    """The prompts of one image by their kind; a segmenter predicts once for all of them.

    Args:
        source: a segmenter, or a `PromptSource`.
        image: as for `predict`.
        kinds: see `check_source`.

    Raises:
        ValueError: as of `check_source`.
        ModelError: the segmenter returned no label image.
    """
    labels: Labels | None = None
    found: dict[str, Prompts] = {}
    for kind in dict.fromkeys(kinds):
        check_source(source, kind)
        if _kind(source, kind) == OWN:
            assert isinstance(source, PromptSource)
            found[kind] = source.prompts(image)
            continue
        if labels is None:
            assert isinstance(source, Segmenter)
            name = type(source).__name__
            labels = check_labels(
                source.predict(image), image, model=name, of="the source of prompts"
            )
        found[kind] = of_labels(labels, kind)
    return found


def of_labels(labels: Labels, kind: str) -> Prompts:
    """A prompt for each object of a label image, in the order of their ids.

    Args:
        labels: H x W integers, 0 = background.
        kind: `points`: the innermost point of each object, as APG places its own; `boxes`: from
            its first to its last pixel; `both`.
    """
    from scipy.ndimage import find_objects

    numbered = _consecutive(labels)
    points = innermost(numbered)
    places = find_objects(numbered.astype(np.int64))
    boxes = np.array(
        [(c.start, r.start, c.stop - 1, r.stop - 1) for r, c in places], np.int64
    ).reshape(-1, 4)
    given: dict[str, Any] = {}
    if kind in ("points", "both"):
        given |= {"points": points[:, None], "point_labels": np.ones((len(points), 1))}
    if kind in ("boxes", "both"):
        given |= {"boxes": boxes}
    return Prompts(**given)


def _consecutive(labels: Labels) -> Labels:
    """The same objects, their ids without gaps from 1 on."""
    ids, places = np.unique(labels, return_inverse=True)
    numbers = np.cumsum(ids > 0)
    found: Labels = numbers[places].reshape(labels.shape).astype(np.uint32)
    return found


def _kind(source: object, kind: str) -> str | None:
    """How a source gives prompts of a kind: by its labels, or its own; None: not at all."""
    if kind == OWN:
        return OWN if isinstance(source, PromptSource) else None
    if isinstance(source, Segmenter):
        return kind
    return OWN if kind == "points" and isinstance(source, PromptSource) else None
