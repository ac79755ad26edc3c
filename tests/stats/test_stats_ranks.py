"""Many methods at once: Holm's correction, and ranks over data sets as by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from benchmark.stats import critical_difference, friedman, holm

# --- many tests -------------------------------------------------------------------------


@pytest.mark.slow
def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="needs statsmodels")
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 10, 252):
        for p in (rng.uniform(0, 1, n), rng.beta(0.2, 2, n).round(2)):
            np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(p):
    corrected = holm(p)
    assert ((corrected >= p) & (corrected <= 1)).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
    np.testing.assert_array_equal(holm(p[::-1]), corrected[::-1])


def test_holm_by_hand_and_without_the_tests_not_made():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_array_equal(holm([np.nan, 0.02, np.nan, 0.5]), [np.nan, 0.04, np.nan, 0.5])
    assert np.isnan(holm([np.nan])).all()


# --- ranks over data sets ---------------------------------------------------------------

# Fourteen data sets, four methods, with ties between two, three and all of them.
TABLE = pd.DataFrame(
    [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.975, 0.975), (0.957, 0.978, 0.946, 0.970),
    ],
    columns=["w", "x", "y", "z"],
    index=[f"data{i:02d}" for i in range(14)],
)  # fmt: skip


def test_friedman_by_hand():
    found = friedman(TABLE)
    ranks = {
        method: np.mean(
            [(row > row[method]).sum() + ((row == row[method]).sum() + 1) / 2 for row in rows]
        )
        for rows in [[row for _, row in TABLE.iterrows()]]
        for method in TABLE
    }
    assert found.mean_ranks.to_dict() == pytest.approx(ranks)
    assert list(found.mean_ranks.index) == sorted(ranks, key=ranks.get), "the best first"
    # Demsar's formula (JMLR 7, 2006, page 11), and the correction for ties.
    n, k = TABLE.shape
    plain = 12 * n / (k * (k + 1)) * (sum(r**2 for r in ranks.values()) - k * (k + 1) ** 2 / 4)
    ties = sum(t**3 - t for _, row in TABLE.iterrows() for t in row.value_counts())
    assert found.statistic == pytest.approx(plain / (1 - ties / (n * (k**3 - k))))
    assert found.p == pytest.approx(scipy_stats.chi2.sf(found.statistic, k - 1))
    assert "not independent" in found.note


def test_nemenyi_agrees_with_the_critical_difference():
    found = friedman(TABLE)
    for a, b in itertools.combinations(found.mean_ranks.index, 2):
        apart = abs(found.mean_ranks[a] - found.mean_ranks[b])
        p = found.nemenyi.loc[a, b]
        assert p == found.nemenyi.loc[b, a]
        assert (p < 0.05) == (apart > found.critical_difference)
        q = apart / np.sqrt(4 * 5 / (6 * 14)) * np.sqrt(2)
        assert p == pytest.approx(scipy_stats.studentized_range.sf(q, 4, np.inf))


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_difference_has_the_quantiles_of_the_textbook(methods, q):
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demsar's example
    expected = q * np.sqrt(methods * (methods + 1) / (6 * 36))
    assert critical_difference(methods, 36) == pytest.approx(expected, rel=3e-4)


def test_friedman_leaves_incomplete_data_sets_out_and_says_so():
    gaps = TABLE.copy()
    gaps.iloc[3, 1] = np.nan
    found = friedman(gaps)
    assert found.left_out == ("data03",)
    assert found.data == tuple(TABLE.index.drop("data03"))
    pd.testing.assert_series_equal(found.mean_ranks, friedman(TABLE.drop("data03")).mean_ranks)
    assert friedman(TABLE[["w", "x"]]) is None
    assert friedman(TABLE.head(4)) is None
