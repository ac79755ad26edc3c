"""Who is better than whom, on how many data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.report.figures.heat_map import heat_map
from benchmark.report.figures.methods import matrix
from benchmark.report.figures.style import NothingToDrawError
from benchmark.report.tables.numbers import head_to_head
from benchmark.scoring.metrics import MSA, Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def counts(table: pd.DataFrame, sign: int = 1) -> pd.DataFrame:
    """Data sets won, lost and tied by each method against each other.

    Args:
        table: data sets x labels, scores, NaN where there is none.
        sign: of the metric.

    Returns:
        Indexed by the pair of labels: won, lost, tied (equal numbers), on the data sets that
        both have.
    """
    pairs = [(a, b) for a in table.columns for b in table.columns if a != b]
    found = [head_to_head(table, a, b, sign) for a, b in pairs]
    return pd.DataFrame(
        {
            "won": [one.wins for one in found],
            "lost": [one.losses for one in found],
            "tied": [one.ties for one in found],
        },
        index=pd.MultiIndex.from_tuples(pairs, names=["first", "second"]),
    )


def draw(rows: pd.DataFrame, left_out: str, metric: Metric = MSA) -> Figure:
    """A heat map of `counts`: the row's method against the column's.

    Args:
        rows: what `entries.comparable` returned.
        left_out: a sentence about others.
        metric: whose scores they are.

    Raises:
        NothingToDrawError: no two methods share a data set.
    """
    table = matrix(rows, metric)
    pairs = counts(table, metric.sign)
    if not pairs.to_numpy().sum():
        raise NothingToDrawError(
            "no two methods have a complete run on the same data set.", left_out
        )
    labels = list(table.columns)
    share = np.full((len(labels), len(labels)), np.nan)
    texts = {}
    for pair, row in zip(pairs.index, pairs.to_dict("records"), strict=True):
        place = labels.index(pair[0]), labels.index(pair[1])
        sets = sum(row.values())
        texts[place] = f"{row['won']}-{row['lost']}-{row['tied']}" if sets else "no\ndata"
        if sets:
            share[place] = (row["won"] + row["tied"] / 2) / sets

    notes = [
        "Data sets won-lost-tied by the row's method against the column's, of those that both "
        "have; a tie counts half in the colour.",
        left_out,
    ]
    return heat_map(share, texts, labels, "share won", notes)
