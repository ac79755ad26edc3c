"""Many tests at once: Holm's correction."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Correct the p-values of one family (Holm 1979): P(any false rejection) is at most alpha.

    statsmodels has it as well, but takes a second to import; a test compares the two.

    Args:
        p: the family's p-values; NaN where no test was made, which is not counted.

    Returns:
        The corrected ones in the same order, at most 1; NaN where `p` is.
    """
    values = np.asarray(p, float)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values, kind="stable")[: np.isfinite(values).sum()]  # NaN comes last
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
