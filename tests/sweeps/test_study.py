"""The study's questions on its own numbers: point by point its own answers."""

import numpy as np
import pandas as pd
import pytest
from helpers.study_tables import table
from scipy.stats import rankdata

from benchmark.paper.card import study_card
from benchmark.paper.published import published_frame
from benchmark.paper.report import study_options
from benchmark.report.assemble import source_tables
from benchmark.report.eligible import select_eligible
from benchmark.report.tables.numbers import (
    averages,
    by_domain,
    head_to_head,
    mean_ranks,
    ranks,
    ranks_without_ties,
)

MODALITIES = ("label_free_cells", "fluorescence_cells", "fluorescence_nuclei", "histopathology")
# The published figure: means of mSA, and mean ranks of two methods.
MEANS = {
    "CellPoseSAM": (0.544, 0.363, 0.483, 0.418),
    "APG": (0.541, 0.344, 0.518, 0.398),
    "AIS": (0.480, 0.347, 0.513, 0.390),
    "CellSAM": (0.380, 0.272, 0.386, 0.277),
    "Cellpose 3": (0.424, 0.218, 0.438, 0.155),
    "SAM3": (0.269, 0.143, 0.255, 0.331),
    "SAM": (0.106, 0.091, 0.283, 0.200),
}
RANKS = {"CellPoseSAM": (1.33, 1.67, 3.11, 1.89), "APG": (2.11, 2.89, 1.67, 2.33)}


def study_tables(rows, prefix, **how):
    return source_tables(rows, prefix, study_options(**how))


@pytest.fixture(scope="module")
def published():
    return published_frame()


@pytest.fixture(scope="module")
def shown(published):
    return select_eligible(published).matrix[study_card().shown]


def test_the_published_means_come_out(published):
    found = averages(select_eligible(published).matrix)
    for method, means in MEANS.items():
        assert [f"{found['mean'][m, method]:.3f}" for m in MODALITIES] == [
            f"{x:.3f}" for x in means
        ]
    rows = {r["method"]: r for r in table(study_tables(published, "p"), "p_means")}
    for method, means in MEANS.items():
        assert list(rows[method].values())[1:] == [f"{x:.3f}" for x in means]


def test_the_published_ranks_come_out_where_ties_are_broken_as_there(published):
    rows = {r["method"]: r for r in table(study_tables(published, "p", study_ranks=True),
                                          "p_ranks_tieless")}  # fmt: skip
    assert set(rows) == set(MEANS)
    for method, means in RANKS.items():
        assert list(rows[method].values())[1:] == [f"{x:.2f}" for x in means]
    # Without the switch there are averaged ranks alone.
    averaged = study_tables(published, "p")
    assert not [t for t in averaged if "tieless" in t.name]
    nuclei = {r["method"]: r["fluorescence nuclei"] for r in table(averaged, "p_ranks")}
    assert (nuclei["CellPoseSAM"], nuclei["APG"]) == ("3.00", "1.67")


def transcribed(entries):
    """The study's `compute_method_avg_ranks`, its sort made stable.

    Args:
        entries: data set -> [(method, mSA)].
    """
    per_method = {}
    for scored in entries.values():
        methods = [method for method, _ in scored]
        scores = np.array([msa for _, msa in scored], dtype=float)
        for position, index in enumerate(np.argsort(-scores, kind="stable")):
            per_method.setdefault(methods[index], []).append(position + 1)
    return {method: float(np.mean(found)) for method, found in per_method.items()}


def test_tieless_ranks_are_those_of_the_studys_own_code(shown):
    order = [study_card().label(key) for key in study_card().tie_order]
    order += [method for method in shown if method not in order]
    for modality in MODALITIES:
        of = shown.loc[[modality]]
        entries = {data: [(m, of[m].loc[modality, data]) for m in order]
                   for data in of.loc[modality].index}  # fmt: skip
        found = mean_ranks(ranks_without_ties(of, order)).loc[modality].drop("sets")
        assert found.to_dict() == pytest.approx(transcribed(entries))


def random_matrix(seed, methods=6, sets=9):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, (sets, methods)) / 10  # many ties
    index = pd.MultiIndex.from_product([["synthetic"], [f"d{i}" for i in range(sets)]],
                                       names=["modality", "data"])  # fmt: skip
    return pd.DataFrame(values, index, [f"m{i}" for i in range(methods)])


@pytest.mark.parametrize("seed", range(20))
def test_averaged_ranks_are_scipys(seed):
    matrix = random_matrix(seed)
    expected = np.stack([rankdata(-line) for line in matrix.to_numpy()])
    assert np.array_equal(ranks(matrix).to_numpy(), expected)
    without = ranks_without_ties(matrix, ["m3", "m1"])
    assert np.array_equal(np.sort(without.to_numpy()), np.tile(np.arange(1.0, 7), (9, 1)))
    equal = matrix["m3"] == matrix["m0"]
    assert (without["m3"] < without["m0"])[equal].all()  # first in the order of ties


def test_ranks_are_over_data_sets_that_all_have():
    matrix = random_matrix(0)
    matrix.iloc[2, 1] = np.nan
    assert len(ranks(matrix)) == 8 and mean_ranks(ranks(matrix))["sets"].item() == 8


def test_a_mean_over_fewer_data_sets_has_their_count_and_is_never_the_best(published):
    (found,) = [t for t in study_tables(published, "p") if t.name == "p_means"]
    cells_of = {line[0].text: line[1:] for line in found.rows}
    assert cells_of["APG, grid search"][2].marks == ("8 of 9",)
    # The best number of the column, but over other data sets.
    numbers = [line[2].value for line in cells_of.values() if isinstance(line[2].value, float)]
    assert cells_of["APG, grid search"][2].value == max(numbers)
    assert cells_of["APG, grid search"][2].place == 0 and cells_of["APG"][2].place == 1
    assert {cell.text for cell in cells_of["SAM2"]} == {"not reported"}


@pytest.mark.parametrize(("a", "b"), [("APG", "AIS"), ("APG", "CellPoseSAM"),
                                      ("APG", "APG, boundary distance")])  # fmt: skip
def test_duels_are_counted_on_common_data_sets(published, a, b):
    by_data = {m: published[published["method"] == m].set_index("data")["score"] for m in (a, b)}
    pairs = [(x, by_data[b][d]) for d, x in by_data[a].items()
             if not np.isnan(x) and not np.isnan(by_data[b][d])]  # fmt: skip
    found = head_to_head(select_eligible(published).matrix, a, b)
    assert found.sets == len(pairs)
    assert found.wins == sum(x > y for x, y in pairs)
    assert found.losses == sum(x < y for x, y in pairs)
    assert found.ties == sum(x == y for x, y in pairs)
    assert found.difference == pytest.approx(np.mean([x - y for x, y in pairs]))
    assert found.mean_a == pytest.approx(np.mean([x for x, _ in pairs]))


def test_a_duel_without_a_common_data_set_has_no_number():
    matrix = random_matrix(0)
    matrix.iloc[:5, 0], matrix.iloc[5:, 1] = np.nan, np.nan
    found = head_to_head(matrix, "m0", "m1")
    assert found[:4] == (0, 0, 0, 0) and np.isnan(found.difference)


def test_domains_are_averaged_apart(published):
    found = by_domain(select_eligible(published).cells).loc["CellPoseSAM"]
    rows = published[published["method"] == "CellPoseSAM"]
    seen = rows["in_domain"].astype(bool)
    assert found["mean_in"] == pytest.approx(rows.loc[seen, "score"].mean())
    assert found["mean_out"] == pytest.approx(rows.loc[~seen, "score"].mean())
    assert (found["sets_in"], found["sets_out"], found["unknown"]) == (
        seen.sum(),
        36 - seen.sum(),
        0,
    )
