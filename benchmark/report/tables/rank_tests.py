"""Whether mean ranks over data sets differ by more than chance, as a table."""

from __future__ import annotations

import pandas as pd

from benchmark.report.eligible import Eligible, variants
from benchmark.report.tables.numbers import complete_block
from benchmark.report.tables.per_data_set import marks_of
from benchmark.report.tables.table import Column, Table, number, p_value, words
from benchmark.scoring.metrics import MSA, Metric
from benchmark.stats import friedman


def ranked_methods(chosen: Eligible) -> pd.DataFrame:
    """The scores of the methods that are ranked: (modality, data) x method."""
    ranked = set(chosen.cells.loc[chosen.cells["ranked"], "method"])
    return chosen.matrix[[name for name in chosen.matrix if name in ranked]]


def rank_test_table(chosen: Eligible, metric: Metric = MSA) -> Table | None:
    """The p-value of each pair of methods by Nemenyi's test, Friedman's in the notes.

    The methods are those on (nearly) all data sets, best first, on the data sets that all of these
    have, without variants of one, as in the critical-difference diagram. None where they are too
    few.
    """
    every = ranked_methods(chosen)
    left = chosen.cells[variants(chosen.cells)]
    variant, mains = set(left["method"]), set(left["variant_of"])
    every = every[[name for name in every if name not in variant]]
    if every.empty:
        return None
    matrix = complete_block(every)
    tested = friedman(metric.sign * matrix)
    if tested is None:
        return None
    methods = list(map(str, tested.mean_ranks.index))
    columns = [
        Column("method"),
        Column("mean rank", right=True),
        *(Column(method, right=True) for method in methods),
    ]
    rows = [
        [
            words(method),
            number(tested.mean_ranks[method], ".2f", marks_of(chosen.cells, method, None)),
            *(
                words("-") if method == other else p_value(p)
                for other, p in zip(methods, pairs, strict=True)
            ),
        ]
        for method, pairs in zip(methods, tested.nemenyi.to_numpy(float).tolist(), strict=True)
    ]
    names = pd.unique(chosen.cells.loc[chosen.cells["key"].isin(mains), "method"])
    absent = [str(name) for name in every if name not in matrix]
    notes = [
        f"Mean ranks over {len(tested.data)} data sets, equal methods sharing theirs. Friedman's "
        f"test that all rank alike: chi squared {number(tested.statistic, '.2f').text} with "
        f"{len(methods) - 1} degrees of freedom, p {p_value(tested.p).text}. Pairs: p-values by "
        "Nemenyi's test, which corrects for all of them; mean ranks closer than "
        f"{tested.critical_difference:.2f} are not told apart at 5 %. {tested.note}",
        *([f"Not on all these data sets: {', '.join(absent)}."] if absent else []),
        *(
            [f"Left out as variants of {', '.join(names)}: {', '.join(sorted(variant))}."]
            if variant
            else []
        ),
        *chosen.notes,
    ]
    return Table("rank_tests", "Which mean ranks differ", columns, rows, notes)
