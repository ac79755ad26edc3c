"""The study's own metric, called directly, to compare ours with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.errors import UsageError
from benchmark.types import Labels


def elf_numbers(
    true: Labels, predicted: Labels, thresholds: Sequence[float]
) -> tuple[float, tuple[float, ...]]:
    """Compute segmentation accuracies (the mean, and at each threshold) with elf.

    Args:
        true: H x W integers.
        predicted: H x W integers.
        thresholds: IoU thresholds.

    Raises:
        UsageError: elf is not installed.
    """
    try:
        from elf.evaluation import mean_segmentation_accuracy
    except ImportError as error:
        raise UsageError(
            "reference=elf needs python-elf: pip install 'python-elf>=0.9' "
            f"(or pip install -e '.[test]'). Importing it failed: {error}."
        ) from error
    mean, accuracies = mean_segmentation_accuracy(
        predicted.astype(np.uint64),
        true.astype(np.uint64),
        list(thresholds),
        return_accuracies=True,
    )
    return float(mean), tuple(float(value) for value in accuracies)
