"""How predictions are scored: each quirk of the published protocol is a named switch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.errors import UsageError

THRESHOLD_GRIDS = {
    # elf's np.arange, float drift included: its "0.75" is 0.7500000000000002, so a pair
    # with an IoU of exactly 3/4 is no match there.
    "drifting": tuple(float(t) for t in np.arange(0.5, 1.0, 0.05)),
    # The nearest float to each decimal: an IoU of exactly 3/4 is a match at 0.75.
    "exact": tuple(k / 20 for k in range(10, 20)),
}
BOTH_EMPTY = ("zero", "exclude")
MASK_ORDERS = ("returned", "score")
_SCORING = ("threshold_grid", "both_empty")


@dataclass(frozen=True)
class Protocol:
    """The switches of a protocol; `configs/protocol/*.yaml` sets them.

    Attributes:
        name: `paper` or `clean`, or the user's own.
        threshold_grid: `drifting` (elf's np.arange, the study's) or `exact`.
        both_empty: what an image scores when truth and prediction are both empty:
            `zero` (elf's, the study's) or `exclude` (left out of means, and counted).
        mask_order: which of two overlapping masks of a model shows where its library leaves
            that open: the later `returned` (the study's), or the one of the higher `score`.
        library_quirks: whether a fault of a method's library that shaped the study's numbers
            is kept. This and the order shape predictions, not scores: a model's YAML takes
            them as parameters.
    """

    name: str
    threshold_grid: str
    both_empty: str
    mask_order: str = "returned"
    library_quirks: bool = True

    def __post_init__(self) -> None:
        """Refuse unknown switches.

        Raises:
            UsageError: a switch has a value that does not exist.
        """
        for key, value, valid in (
            ("threshold_grid", self.threshold_grid, tuple(THRESHOLD_GRIDS)),
            ("both_empty", self.both_empty, BOTH_EMPTY),
            ("mask_order", self.mask_order, MASK_ORDERS),
            ("library_quirks", self.library_quirks, (True, False)),
        ):
            if value not in valid:
                raise UsageError(
                    f"protocol.{key} is '{value}'; it must be one of: {', '.join(map(str, valid))}."
                )

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The ten IoU thresholds, 0.50 to 0.95."""
        return THRESHOLD_GRIDS[self.threshold_grid]

    def switches(self) -> dict[str, Any]:
        """What a score depends on: not the name, nor what shaped the prediction before."""
        return {key: value for key, value in asdict(self).items() if key in _SCORING}
