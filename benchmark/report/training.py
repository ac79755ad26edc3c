"""What a set of weights was trained on, as its card says; read as data, never imported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.choices import CHECKOUT
from benchmark.store.files import path_of_id
from benchmark.store.names import is_safe

CARDS = CHECKOUT / "models" / "weights" / "cards"


def trained_on(weights: str, folder: Path = CARDS) -> frozenset[str] | None:
    """Names of data sets, without case; None where no card says.

    Args:
        weights: the name of the card.
        folder: where the cards lie.
    """
    return frozenset(training_splits(weights, folder)) or None


@cache
def training_splits(weights: str, folder: Path = CARDS) -> Mapping[str, frozenset[str]]:
    """Name of a data set, without case -> the splits that the card names (`train`, `unknown`, ...).

    Args:
        weights: the name of the card.
        folder: where the cards lie.
    """
    from omegaconf import OmegaConf

    if not is_safe(weights):
        return {}
    path = path_of_id(folder, weights, ".yaml")
    if not path.is_file():
        return {}
    written: Any = OmegaConf.to_container(OmegaConf.load(path))
    found: dict[str, frozenset[str]] = {}
    for row in written.get("trained_on") or ():
        name = str(row["data"]).casefold()
        found[name] = found.get(name, frozenset()) | {str(row.get("split") or "unknown")}
    return found
