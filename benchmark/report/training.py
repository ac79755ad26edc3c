"""What a set of weights was trained on, as its card says; read as data, never imported."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from benchmark.choices import CHECKOUT
from benchmark.store.files import path_of_id
from benchmark.store.names import is_safe

CARDS = CHECKOUT / "models" / "weights" / "cards"


@cache
def trained_on(weights: str, folder: Path = CARDS) -> frozenset[str] | None:
    """Names of data sets, without case; None where no card says.

    Args:
        weights: the name of the card.
        folder: where the cards lie.
    """
    from omegaconf import OmegaConf

    if not is_safe(weights):
        return None
    path = path_of_id(folder, weights, ".yaml")
    if not path.is_file():
        return None
    written: Any = OmegaConf.to_container(OmegaConf.load(path))
    rows = written.get("trained_on") or ()
    return frozenset(str(row["data"]).casefold() for row in rows) or None
