"""P-values and effect sizes of a comparison: as by hand and as elsewhere."""

import numpy as np
import pytest
from helpers.by_hand import p_by_brute_force
from scipy import stats as scipy_stats

from benchmark.paper.significance import STUDY_TEST, study_test
from benchmark.stats import (
    permutation,
    rank_biserial,
    sign_flip_p,
    standardised_difference,
)

# --- sign flips -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 7, 9, 11])
@pytest.mark.parametrize("ties", [False, True])
def test_p_is_the_share_of_all_flips(n, ties):
    differences = np.random.default_rng(n).normal(0.5, 1, n)
    if ties:
        differences = differences.round()
    assert sign_flip_p(differences) == pytest.approx(p_by_brute_force(differences), abs=1e-15)


def test_p_is_scipys():
    differences = np.random.default_rng(0).normal(0.3, 1, 10)
    theirs = scipy_stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(differences) == pytest.approx(theirs.pvalue)


def test_drawn_flips_agree_with_all_of_them(monkeypatch):
    differences = np.random.default_rng(5).normal(0.4, 1, 17)
    exact = sign_flip_p(differences)
    monkeypatch.setattr(permutation, "_EXACT_UP_TO", 0)
    drawn = sign_flip_p(differences)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert drawn != exact
    assert sign_flip_p(differences, seed=1) != drawn


def test_drawn_flips_agree_with_theory():
    differences = np.random.default_rng(5).normal(0, 1, 300)
    differences += 0.11 - differences.mean()
    z = differences.sum() / np.sqrt((differences**2).sum())
    assert sign_flip_p(differences) == pytest.approx(2 * scipy_stats.norm.sf(z), abs=0.01)


@pytest.mark.parametrize("n", [6, 18, 19, 40])
def test_p_of_the_clearest_difference(n):
    least = 2 / 2**n if n <= 18 else 1 / 20_001
    assert sign_flip_p(np.linspace(0.1, 0.2, n)) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("n", [6, 12, 30])
def test_p_knows_neither_order_nor_direction(n):
    differences = np.random.default_rng(n).normal(0.2, 1, n)
    p = sign_flip_p(differences)
    assert sign_flip_p(-differences) == p
    assert sign_flip_p(differences[::-1]) == p
    assert sign_flip_p(1000 * differences) == p


def test_no_difference_and_too_few_groups():
    assert sign_flip_p([0.0] * 8) == 1
    assert sign_flip_p([0.0] * 50) == 1
    assert sign_flip_p([1.0] * 5) is None
    assert sign_flip_p([]) is None
    assert sign_flip_p([1.0] * 6) == pytest.approx(1 / 32)


# --- effect sizes -----------------------------------------------------------------------


def test_rank_biserial_by_hand():
    # Ranks of 1, 2, 3, 4, 5 are 1 to 5; 3 speaks for b: (1 + 2 + 4 + 5 - 3) / 15.
    assert rank_biserial([0.1, 0.2, -0.3, 0.4, 0.5]) == pytest.approx(9 / 15)
    assert rank_biserial([0.1] * 6) == 1
    assert rank_biserial([-0.1, -0.2, -0.3]) == -1
    assert rank_biserial([0.0] * 5) == 0
    # Zeros take ranks 1 and 2 (1.5 each) and speak for nobody.
    assert rank_biserial([0, 0, 0.1, 0.2]) == pytest.approx(7 / 10)
    assert np.isnan(rank_biserial([]))


def test_rank_biserial_belongs_to_wilcoxon():
    differences = np.random.default_rng(0).normal(0.2, 1, 20)
    n = len(differences)
    w_plus = scipy_stats.wilcoxon(differences, alternative="greater").statistic
    assert rank_biserial(differences) == pytest.approx(4 * w_plus / (n * (n + 1)) - 1)


def test_standardised_difference_by_hand():
    differences = [0.1, 0.3, 0.2, 0.4]
    mean, deviation = 0.25, np.sqrt(0.05 / 3)
    assert standardised_difference(differences) == pytest.approx((1 - 3 / 11) * mean / deviation)
    assert np.isnan(standardised_difference([0.1] * 6))
    assert np.isnan(standardised_difference([0.1, 0.2]))


# --- the study's own test ---------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.1, -0.1])
def test_the_studys_test_takes_the_direction_from_the_data(shift):
    differences = np.random.default_rng(0).normal(shift, 0.2, 40)
    found = study_test(differences)
    assert found.better == ("a" if differences.sum() > 0 else "b")
    two_sided = scipy_stats.wilcoxon(differences).pvalue
    assert found.p == pytest.approx(two_sided / 2)
    assert found.significant == (found.p < 0.05)
    assert "one in ten" in STUDY_TEST


def test_the_studys_test_without_any_difference():
    found = study_test([0.0] * 6)
    assert np.isnan(found.p) and not found.significant
