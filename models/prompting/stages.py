"""What became of each prompt of one image, from the prompt to the label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Labels
from models.common.masks import Patch
from models.prompting.prompts import Prompts


class Proposed(NamedTuple):
    """A mask for each of P prompts.

    Attributes:
        masks: P masks, each cut to its box; some may be empty.
        scores: P, by which suppression prefers a mask; NaN where nothing is left of it.
    """

    masks: Sequence[Patch]
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Stages:
    """The intermediate results of one image; entry i of each belongs to prompt i.

    Attributes:
        prompts: the P prompts, in the order of their source.
        first: the mask of each prompt.
        refined: the mask by the box of each first mask; None where masks are not refined.
        kept: numbers of the prompts whose last mask is large enough and was not suppressed, the
            best first. Of prompts with the same last mask by the same last prompt, it has the
            first.
        labels: H x W, as `predict` returns it.
    """

    prompts: Prompts
    first: Proposed
    refined: Proposed | None
    kept: NDArray[np.int64]
    labels: Labels

    @property
    def last(self) -> Proposed:
        """The masks that suppression chooses from."""
        return self.first if self.refined is None else self.refined
