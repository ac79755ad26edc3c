"""What the networks are worth: mSA through micro-sam's own classes, on whole images."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.match import match
from benchmark.scoring.metrics import mean_segmentation_accuracy, true_positives
from benchmark.scoring.protocol import THRESHOLD_GRIDS

MODES = ("ais", "apg")
Labels = NDArray[np.integer]


class Score(NamedTuple):
    """One image by one mode.

    Attributes:
        image: its name.
        mode: `ais` or `apg`.
        msa: mean segmentation accuracy, thresholds exact; None where both are empty.
        found: objects that were found.
        seconds: that it took, the embedding included.
    """

    image: str
    mode: str
    msa: float | None
    found: int
    seconds: float


def accuracy(true: Labels, found: Labels) -> float | None:
    """Mean segmentation accuracy over the ten exact thresholds."""
    overlap = match(true.astype(np.int64), found.astype(np.int64))
    sizes = len(overlap.true), len(overlap.predicted)
    hits = true_positives(overlap, THRESHOLD_GRIDS["exact"])
    return mean_segmentation_accuracy(hits, *sizes) if any(sizes) else None


class MicroSam:
    """Networks, behind micro-sam's own classes with their own defaults.

    Args:
        sam: the model.
        decoder: micro-sam's.
    """

    def __init__(self, sam: Any, decoder: Any) -> None:
        from segment_anything import SamPredictor

        self._predictor = SamPredictor(sam)
        self._decoder = decoder

    def segment(self, image: NDArray[Any], mode: str, **choices: Any) -> Labels:
        """A label image.

        Args:
            image: H x W or H x W x C.
            mode: one of `MODES`.
            choices: other than micro-sam's defaults.
        """
        import torch
        from micro_sam.instance_segmentation import (
            AutomaticPromptGenerator,
            InstanceSegmentationWithDecoder,
        )
        from micro_sam.util import precompute_image_embeddings

        with torch.no_grad():
            embeddings = precompute_image_embeddings(self._predictor, image, ndim=2, verbose=False)
            generators: dict[str, Any] = {
                "ais": InstanceSegmentationWithDecoder,
                "apg": AutomaticPromptGenerator,
            }
            generator = generators[mode](self._predictor, self._decoder)
            generator.initialize(image, image_embeddings=embeddings)
            found: Labels = generator.generate(**choices)
        return found

    def scores(
        self, images: Iterable[tuple[str, NDArray[Any], Labels]], modes: Sequence[str]
    ) -> list[Score]:
        """Of images with their names and truth, by some modes."""
        rows = []
        for name, image, true in images:
            for mode in modes:
                start = time.perf_counter()
                found = self.segment(image, mode)
                seconds = time.perf_counter() - start
                rows.append(Score(name, mode, accuracy(true, found), _count(found), seconds))
        return rows


def mean(rows: Iterable[Score], mode: str) -> float:
    """The mean mSA of a mode over images; 0 where there are none."""
    values = [row.msa for row in rows if row.mode == mode and row.msa is not None]
    return float(np.mean(values)) if values else 0.0


def _count(labels: Labels) -> int:
    return len(np.unique(labels[labels > 0]))
