"""One's own numbers beside the published ones."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmark.report.eligible import matrix

_DIFFERING = {
    "protocol": "protocol",
    "split": "split",
    "weights": "weights",
    "status": "not all images are done",
}


def beside_published(published: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Every run of a method that the study reports on that data set, with the study's number.

    Args:
        published: its cells.
        runs: cells of runs.

    Returns:
        The runs' columns, and theirs (the study's mSA), delta (own - theirs), published
        (its method's label), differs (a tuple of words: protocol, split, weights, number of
        images, and the same, unknown: where the study does not tell how many).
    """
    theirs = published[published["score"].notna()].set_index(["key", "data"])
    counted = runs["score"].notna() & ~runs["control"] & (runs["set_aside"] == "")
    own = runs[counted & (runs["key"] != "")]
    keys = pd.MultiIndex.from_frame(own[["key", "data"]])
    own = own[keys.isin(theirs.index)]
    found = theirs.loc[pd.MultiIndex.from_frame(own[["key", "data"]])].reset_index()
    differs = [
        _differs(row, other)
        for row, other in zip(own.to_dict("records"), found.to_dict("records"), strict=True)
    ]
    return own.reset_index(drop=True).assign(
        theirs=found["score"],
        delta=own["score"].to_numpy() - found["score"].to_numpy(),
        published=found["method"],
        differs=pd.Series(differs, dtype=object),
    )


def _differs(own: dict[Any, Any], theirs: dict[Any, Any]) -> tuple[str, ...]:
    found = [key for key in ("protocol", "split") if own[key] != theirs[key]]
    if weights_name(str(own["weights"])) != theirs["weights"]:
        found.append("weights")
    words = [_DIFFERING[key] for key in found]
    if own["status"] != "complete":
        words.append(_DIFFERING["status"])
    if pd.isna(theirs["images"]):
        words.append("number of images unknown")
    elif own["images"] != theirs["images"]:
        words.append(f"{own['images']} images, theirs {theirs['images']}")
    return tuple(words)


def weights_name(label: str) -> str:
    """The name of the card, of weights as tables show them."""
    return re.split(r" \(|, ", label, maxsplit=1)[0]


class Agreement(NamedTuple):
    """Whether two sources say the same of two methods.

    Attributes:
        sets: data sets on which both methods have both numbers.
        agree: on how many of them the difference has the same sign (0 is a sign).
    """

    sets: int
    agree: int


def sign_agreement(rows: pd.DataFrame, a: str, b: str) -> Agreement:
    """On how many data sets own and published a - b have the same sign.

    Args:
        rows: as `beside` gave them.
        a: key of a published configuration.
        b: of another.
    """
    single = _once(rows[rows["key"].isin([a, b])])
    own = single.pivot(index="data", columns="key", values="score").reindex(columns=[a, b]).dropna()
    theirs = single.pivot(index="data", columns="key", values="theirs").reindex(own.index)
    if own.empty:
        return Agreement(0, 0)
    signs = [np.sign((frame[a] - frame[b]).round(12)) for frame in (own, theirs)]
    return Agreement(len(own), int((signs[0] == signs[1]).sum()))


class Correlation(NamedTuple):
    """Whether two sources rank methods alike.

    Attributes:
        rho: Spearman's, over the methods' means; NaN with fewer than three methods, or where
            one source has them all equal.
        methods: how many.
        sets: data sets that all of them have, and that the means are over.
    """

    rho: float
    methods: int
    sets: int


def rank_correlation(rows: pd.DataFrame) -> Correlation:
    """Spearman's correlation of the methods' own and published means, on common data sets.

    Args:
        rows: as `beside` gave them, of one modality.
    """
    from scipy.stats import spearmanr

    single = _once(rows)
    if single.empty:
        return Correlation(np.nan, 0, 0)
    common = matrix(single).dropna()
    theirs = matrix(single.assign(score=single["theirs"])).loc[common.index]
    methods = common.shape[1]
    constant = len(common) and (common.mean().nunique() < 2 or theirs.mean().nunique() < 2)
    if methods < 3 or common.empty or constant:
        return Correlation(np.nan, methods, len(common))
    return Correlation(
        float(spearmanr(common.mean(), theirs.mean()).statistic), methods, len(common)
    )


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Methods that ran on a data set more than once have no one number to compare."""
    return rows[~rows.duplicated(["key", "data"], keep=False)]
