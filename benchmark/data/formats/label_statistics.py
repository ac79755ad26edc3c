"""Look at a label image: are its values ids of objects, one for each?

The thresholds were chosen on 569 annotated images of four data sets (nuclei and cells;
fluorescence, phase contrast, stained tissue), where none of them applies: ids have one part, and
those of one tracking data set up to three that are more than crumbs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.remarks import Remark
from benchmark.types import Labels

CRUMB = 9
"""Pixels; smaller parts of an object are slips of annotation, unless the object is small too."""

MANY = 4
"""Parts of one id that are too many for an object that was cut, hidden or drawn twice."""

LIMITS = (2**7 - 1, 2**8 - 1, 2**15 - 1, 2**16 - 1)
"""Where integer types end: 8 and 16 bits, with and without a sign."""


@dataclass(frozen=True)
class Statistics:
    """What there is to see.

    Attributes:
        ids: the ids, ascending, without 0.
        parts: of each, how many separate regions it has, crumbs aside.
        background: share of the pixels that are 0.
        most: the value of the most pixels, and its share.
    """

    ids: NDArray[np.int64]
    parts: NDArray[np.int64]
    background: float
    most: tuple[int, float]

    @property
    def is_mask(self) -> bool:
        """Whether the values tell objects from background, but not from each other."""
        if len(self.ids) == 2 and not self.background:  # such as 1 and 2
            return bool(self.parts.max() >= MANY)
        enough = 2 if len(self.ids) == 1 and self.ids[0] in LIMITS else MANY
        return len(self.ids) == 1 and bool(self.parts[0] >= enough)

    def remarks(self) -> list[Remark]:
        """What is odd about ids."""
        found = []
        if not self.background:
            value, share = self.most
            found.append(Remark("no_background", f"id {value} covers {share:.0%}"))
        if not len(self.ids):
            return found
        worst = int(self.parts.argmax())
        detail = f"id {self.ids[worst]} has {self.parts[worst]} parts"
        if self._is_clipped():
            found.append(Remark("clipped", f"the largest id is {self.ids[-1]}, and {detail}"))
        elif self.parts[worst] >= MANY or (len(self.ids) == 1 and self.parts[0] > 1):
            found.append(Remark("fragments", detail))
        return found

    def _is_clipped(self) -> bool:
        """Whether ids reach a limit, and the last has parts (clipped), or many (begun again)."""
        if len(self.ids) < 2 or self.ids[-1] not in LIMITS or self.ids[-2] < 0.9 * self.ids[-1]:
            return False
        several = np.count_nonzero(self.parts > 1)
        return bool(self.parts[-1] > 1 or several >= max(MANY, 0.05 * len(self.ids)))


def statistics(labels: Labels) -> Statistics:
    """Count the ids of a label image and the parts of each; parts touch at edges or corners.

    Args:
        labels: H x W integers from 0 on.
    """
    from skimage.measure import label

    regions = label(labels, background=0, connectivity=2)
    areas = np.bincount(regions.ravel())
    value_of = np.zeros(len(areas), labels.dtype)
    value_of[regions.ravel()] = labels.ravel()
    ids, index = np.unique(value_of[1:], return_inverse=True)
    largest = np.zeros(len(ids), np.int64)
    np.maximum.at(largest, index, areas[1:])
    counted = areas[1:] >= np.minimum(CRUMB, largest / 4)[index]
    pixels = np.bincount(index, areas[1:], minlength=len(ids))
    most = int(pixels.argmax()) if len(ids) else 0
    return Statistics(
        ids=ids.astype(np.int64),
        parts=np.bincount(index, counted, minlength=len(ids)).astype(np.int64),
        background=float(areas[0] / labels.size),
        most=(int(ids[most]), float(pixels[most] / labels.size)) if len(ids) else (0, 0.0),
    )
