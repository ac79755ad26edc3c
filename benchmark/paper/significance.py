"""The study's own test, as its authors ran it: for reproduction, not for a claim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

STUDY_TEST = (
    "the study's own test: Wilcoxon over images, one-sided in the direction that the data "
    "themselves show, uncorrected. Of true null hypotheses it rejects about one in ten, and "
    "more where images of one group resemble each other. Shown for reproduction only."
)
"""What has to stand wherever its result is shown."""


@dataclass(frozen=True)
class StudyTest:
    """What the study's test says.

    Attributes:
        better: "a" or "b", whichever has the larger sum over images.
        p: one-sided, in that direction; NaN where all differences are 0.
    """

    better: str
    p: float

    @property
    def significant(self) -> bool:
        """As the study called it: p below 0.05."""
        return self.p < 0.05


def study_test(differences: ArrayLike) -> StudyTest:
    """The test of micro-sam's `scripts/apg_experiments/statistical_analysis.py`.

    Args:
        differences: a - b, one per image; whatever groups there are is ignored.
    """
    values = np.asarray(differences, float)
    a_is_better = values.sum() > 0
    better = "a" if a_is_better else "b"
    if not values.any():
        return StudyTest(better, float("nan"))
    from scipy.stats import wilcoxon

    found = wilcoxon(values, alternative="greater" if a_is_better else "less")
    return StudyTest(better, float(found.pvalue))
