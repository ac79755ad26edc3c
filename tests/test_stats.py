"""Intervals, tests and effect sizes: as by hand, as elsewhere, and honest where it is not known.

How often they are right on simulated data is what `scripts/simulate_statistics.py` measures; a
small part of it is done again at the end.
"""

import importlib.util
import itertools
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from benchmark import stats
from benchmark.stats import (
    bootstrap_interval,
    compare,
    critical_difference,
    friedman,
    holm,
    interval,
    pair,
    permutation,
    rank_biserial,
    sign_flip_p,
    standardised_difference,
    study_test,
)

ROOT = Path(__file__).parent.parent


def clustered(n_groups, seed=0, images=(1, 21)):
    """Values around 0.5 with group effects, and the group of each."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), rng.integers(*images, n_groups))
    values = 0.5 + rng.normal(0, 0.15, n_groups)[group] + rng.normal(0, 0.1, len(group))
    return values, [f"g{i:03d}" for i in group]


# --- intervals --------------------------------------------------------------------------


def bootstrap_t_by_hand(values, groups, drawn):
    """The method as its docstring tells it, image by image."""
    names = sorted(set(groups))
    of = {name: [v for v, g in zip(values, groups, strict=True) if g == name] for name in names}

    def ratio_and_error(members):
        images = [v for name in members for v in of[name]]
        mean = sum(images) / len(images)
        residuals = [sum(of[name]) - mean * len(of[name]) for name in members]
        variance = sum(r * r for r in residuals) * len(members) / (len(members) - 1)
        return mean, variance**0.5 / len(images)

    mean, error = ratio_and_error(names)
    least = 0.2 * error
    ts = []
    for row in drawn:
        drawn_mean, drawn_error = ratio_and_error([names[i] for i in row])
        ts.append((drawn_mean - mean) / max(drawn_error, least))
    left_out = [np.mean([v for n in names if n != name for v in of[n]]) for name in names]
    n = len(names)
    jackknife = ((n - 1) / n * sum((m - mean) ** 2 for m in left_out)) ** 0.5
    low, high = np.quantile(ts, [0.025, 0.975])
    ends = mean - high * jackknife, mean - low * jackknife
    return tuple(float(np.clip(end, min(values), max(values))) for end in ends)


@pytest.mark.parametrize("n_groups", [5, 9, 30])
def test_interval_is_the_one_by_hand(n_groups):
    values, groups = clustered(n_groups, seed=n_groups)
    drawn = np.random.default_rng(3).integers(n_groups, size=(300, n_groups), dtype=np.uint16)
    ours = bootstrap_interval(values, groups, seed=3, resamples=300)
    # The jackknife of a ratio, linearised or not, is the same to its own precision.
    assert ours == pytest.approx(bootstrap_t_by_hand(values, groups, drawn), rel=1e-9)


def test_agrees_with_theory_for_many_independent_images():
    values = np.random.default_rng(1).normal(0.6, 0.1, 400)
    low, high = bootstrap_interval(values, [str(i) for i in range(400)])
    half = 1.966 * values.std(ddof=1) / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=5e-4)
    assert high == pytest.approx(values.mean() + half, abs=5e-4)


def test_is_the_mean_over_images_not_over_groups():
    # Ten groups of nine images around 0.2 beside ten of a single one around 0.9: the mean over
    # images is 0.27, that over groups 0.55.
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.2, 0.05, 90), rng.normal(0.9, 0.05, 10)])
    groups = [f"big{i // 9}" for i in range(90)] + [f"g{i}" for i in range(10)]
    low, high = bootstrap_interval(values, groups)
    assert low < values.mean() < high < 0.5


def test_clusters_make_the_interval_wider():
    values, groups = clustered(20)
    low, high = bootstrap_interval(values, groups)
    alone = bootstrap_interval(values, [str(i) for i in range(len(values))])
    assert high - low > 2 * (alone[1] - alone[0])


def test_same_in_any_order_and_by_seed():
    values, groups = clustered(12)
    first = bootstrap_interval(values, groups)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(values))
        assert bootstrap_interval(values[order], [groups[i] for i in order]) == first
    assert bootstrap_interval(values, groups, seed=1) != first


def test_scales_and_mirrors_with_the_scores():
    values, groups = clustered(12)
    low, high = bootstrap_interval(values, groups)
    assert bootstrap_interval(1 - values, groups) == pytest.approx((1 - high, 1 - low))
    assert bootstrap_interval(3 * values - 1, groups) == pytest.approx((3 * low - 1, 3 * high - 1))


def test_excluded_samples_are_dropped_with_their_groups():
    values, groups = clustered(6)
    with_gap = np.append(values, np.nan)
    assert bootstrap_interval(with_gap, [*groups, "g000"]) == bootstrap_interval(values, groups)
    five = [str(i) for i in range(5)]
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, 0.5], five) is not None
    assert bootstrap_interval([0.1, 0.2, 0.3, 0.4, np.nan], five) is None
    assert bootstrap_interval([0.1] * 9, ["a", "b", "c"] * 3) is None
    assert bootstrap_interval([], []) is None


def test_constant_values_have_an_interval_without_width():
    for value in (0.25, 0.0, 1.0, 0.1):
        assert bootstrap_interval([value] * 6, list("abcdef")) == (value, value)


def test_stays_within_the_scores_seen():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.beta(0.3, 0.05, 8)  # most of them next to 1
        low, high = bootstrap_interval(values, list("abcdefgh"), resamples=500)
        assert values.min() <= low <= values.mean() <= high <= values.max()


def test_one_image_of_many_does_not_blow_the_interval_up():
    values = [0.0] * 99 + [1.0]
    low, high = bootstrap_interval(values, [str(i) for i in range(100)])
    assert low == 0
    # Of one success in 100 the exact (Clopper-Pearson) interval ends at 0.0545.
    assert high == pytest.approx(0.0545, abs=0.015)


def test_memory_is_bounded(monkeypatch):
    values, groups = clustered(30)
    drawn = []
    studentise = interval._studentise
    monkeypatch.setattr(interval, "_DRAWS_AT_ONCE", 700)
    monkeypatch.setattr(
        interval, "_studentise", lambda *args: drawn.append(args[-1].size) or studentise(*args)
    )
    low, high = bootstrap_interval(values, groups, resamples=1000)
    assert (sum(drawn), max(drawn)) == (30_000, 690)
    assert low < values.mean() < high


def test_lengths_have_to_agree():
    with pytest.raises(ValueError, match="groups"):
        bootstrap_interval([0.1, 0.2], ["a"])


def test_five_hundred_images_take_no_time_worth_mentioning():
    values = np.random.default_rng(0).beta(5, 2, 500)
    groups = [str(i) for i in range(500)]
    bootstrap_interval(values, groups)  # compiles
    start = time.process_time()
    for _ in range(5):
        bootstrap_interval(values, groups)
    assert (time.process_time() - start) / 5 < 0.3  # some 0.03 s; other processes share the caches


# --- sign flips -------------------------------------------------------------------------


def p_by_brute_force(differences):
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    return np.mean([total >= sums[0] - 1e-12 for total in sums])


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


# --- many tests -------------------------------------------------------------------------


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


# --- pairs ------------------------------------------------------------------------------


def scores(msa, groups=None, **columns):
    """Scores as `RunResult.scores` holds them, samples s00, s01, ..."""
    n = len(msa)
    frame = {
        "group": groups or [f"g{i:02d}" for i in range(n)],
        "n_true": 4.0,
        "n_predicted": 4.0,
        "both_empty": False,
        "msa": np.array(msa, float),
    }
    return pd.DataFrame(frame | columns, index=[f"s{i:02d}" for i in range(n)])


def random_pair(seed, n=30, groups=8):
    rng = np.random.default_rng(seed)
    group = [f"g{i}" for i in rng.integers(groups, size=n)]
    a = rng.uniform(0, 1, n)
    return scores(a, group), scores(np.clip(a + rng.normal(0.05, 0.1, n), 0, 1), group)


def test_samples_that_do_not_count_are_left_out_for_both_and_listed():
    a = scores(
        [0.5, 0.6, np.nan, 0.0, 0.4, np.nan],
        n_predicted=[4, 4, 0, 0, 4, 4],
        both_empty=[False, False, True, True, False, False],
    ).drop("s04")
    b = scores(
        [0.4, 0.7, 0.0, 0.0, 0.4, 0.1],
        n_predicted=[4, 4, 3, 0, 4, 4],
        both_empty=[False, False, False, True, False, False],
    ).drop("s01")
    pairs, left_out = pair(a, b, failed_a={"s04": "no memory", "s07": "x"}, failed_b={"s07": "y"})
    assert list(pairs.index) == ["s00"]
    assert pairs.loc["s00", "difference"] == pytest.approx(0.1)
    assert {each.sample: each.reason for each in left_out} == {
        "s01": "not scored in b",
        "s02": "no object in the truth, nor in a's prediction (b predicts 3)",
        "s03": "no object in the truth, nor in either prediction",
        "s04": "failed in a: no memory",
        "s05": "msa is undefined in a",
        "s07": "failed in a: x; failed in b: y",
    }
    assert [each.sample for each in left_out] == sorted(each.sample for each in left_out)
    found = compare(a, b)
    assert (found.samples, len(found.exclusions)) == (1, 5)


def test_other_truths_and_doubled_samples_are_refused():
    a, b = random_pair(0)
    with pytest.raises(ValueError, match="'n_true' of sample 's03'"):
        compare(a, b.assign(n_true=[4.0] * 3 + [5.0] + [4.0] * 26))
    with pytest.raises(ValueError, match="'group'"):
        compare(a, b.assign(group="one"))
    with pytest.raises(ValueError, match="'s07' occurs twice in b"):
        compare(a, pd.concat([b, b.loc[["s07"]]]))


# --- comparisons ------------------------------------------------------------------------


def test_comparison_by_hand():
    a = scores([0.6, 0.8, 0.5, 0.9, 0.7, 0.4, 0.6], list("uuvwxyz"))
    b = scores([0.5, 0.6, 0.5, 0.6, 0.95, 0.2, 0.1], list("uuvwxyz"))
    found = compare(a, b)
    by_group = [0.15, 0.0, 0.3, -0.25, 0.2, 0.5]
    assert (found.samples, found.groups) == (7, 6)
    assert found.difference == pytest.approx(1.05 / 7)
    assert found.group_difference == pytest.approx(0.9 / 6)
    assert (found.mean_a, found.mean_b) == (pytest.approx(4.5 / 7), pytest.approx(3.45 / 7))
    assert (found.a_better, found.b_better, found.equal) == (5, 1, 1)
    assert found.p == pytest.approx(p_by_brute_force(by_group))
    assert found.p_wilcoxon == pytest.approx(0.25)  # ranks 2 to 6: 4 of 32 sums are up to 4
    assert found.rank_biserial == pytest.approx((21 - 1 - 2 * 4) / 21)
    assert found.standardised == pytest.approx(standardised_difference(by_group))
    differences = a["msa"] - b["msa"]
    assert found.interval == pytest.approx(bootstrap_interval(differences, list("uuvwxyz")))


def test_what_adding_floats_leaves_is_no_difference():
    # +0.1, -0.2 and +0.1 in each group leave 2e-17, which would be ranked and won by a.
    groups = [f"g{i // 3}" for i in range(18)]
    a, b = scores([0.3, 0.1, 0.4] * 6, groups), scores([0.2, 0.3, 0.3] * 6, groups)
    assert (a["msa"] - b["msa"]).groupby(groups).mean().ne(0).all()
    found = compare(a, b)
    assert (found.p, found.p_wilcoxon, found.rank_biserial) == (1, 1, 0)


@pytest.mark.parametrize(
    ("groups", "interval", "p"), [(4, False, False), (5, True, False), (6, True, True)]
)
def test_few_groups_have_no_interval_and_no_p(groups, interval, p):
    n = 24
    names = [f"g{i % groups}" for i in range(n)]
    rng = np.random.default_rng(0)
    found = compare(scores(rng.uniform(0, 1, n), names), scores(rng.uniform(0, 1, n), names))
    assert found.groups == groups
    assert (found.interval is not None) == interval == (found.rank_biserial == found.rank_biserial)
    assert (found.p is not None) == (found.p_wilcoxon is not None) == p


def test_nothing_in_common_is_no_error():
    a, b = random_pair(0)
    found = compare(a.head(5), b.tail(5))
    assert (found.samples, found.groups, found.p, found.interval) == (0, 0, None, None)
    assert len(found.exclusions) == 10 and np.isnan(found.difference)


@pytest.mark.parametrize("seed", range(4))
def test_swapping_flips_every_sign_and_nothing_else(seed):
    a, b = random_pair(seed)
    there, back = compare(a, b), compare(b, a)
    for name in ("difference", "group_difference", "rank_biserial", "standardised"):
        assert getattr(back, name) == pytest.approx(-getattr(there, name)), name
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))
    assert (back.p, back.p_wilcoxon) == (there.p, there.p_wilcoxon)
    assert (back.a_better, back.b_better) == (there.b_better, there.a_better)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_samples_does_not_matter(seed):
    a, b = random_pair(seed)
    assert compare(a.sample(frac=1, random_state=seed), b.sample(frac=1)) == compare(a, b)


def test_many_like_slices_are_no_evidence():
    # Seven volumes of which five favour a; a hundred slices each say no more than one.
    signs = [1, 1, 1, 1, 1, -1, -1]
    few = [f"v{i}" for i in range(7)]
    slices = [f"v{i}" for i in range(7) for _ in range(100)]
    zero, a = scores([0.5] * 7, few), scores([0.5 + 0.1 * s for s in signs], few)
    one = compare(a, zero)
    zero = scores([0.5] * 700, slices)
    many = compare(scores(np.repeat([0.5 + 0.1 * s for s in signs], 100), slices), zero)
    assert many.p == one.p > 0.4
    assert many.interval == pytest.approx(one.interval)


def test_larger_groups_that_say_the_opposite_are_told():
    groups = ["big"] * 20 + [f"g{i}" for i in range(6)]
    found = compare(scores([0.9] * 20 + [0.4] * 6, groups), scores([0.5] * 26, groups))
    assert found.difference > 0 > found.group_difference
    assert found.weights_disagree
    assert "weigh images alike" in stats.WEIGHTS


# --- the study's own test ---------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.1, -0.1])
def test_the_studys_test_takes_the_direction_from_the_data(shift):
    differences = np.random.default_rng(0).normal(shift, 0.2, 40)
    found = study_test(differences)
    assert found.better == ("a" if differences.sum() > 0 else "b")
    two_sided = scipy_stats.wilcoxon(differences).pvalue
    assert found.p == pytest.approx(two_sided / 2)
    assert found.significant == (found.p < 0.05)
    assert "one in ten" in stats.STUDY_TEST


def test_the_studys_test_without_any_difference():
    found = study_test([0.0] * 6)
    assert np.isnan(found.p) and not found.significant


# --- simulated --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulate():
    spec = importlib.util.spec_from_file_location(
        "simulate_statistics", ROOT / "scripts" / "simulate_statistics.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [10, 30])
def test_true_null_hypotheses_are_rejected_as_often_as_said(simulate, n_groups):
    independent, clusters = simulate.NULLS[:2]
    trials = 1000
    found = simulate.rejections(independent, n_groups, trials)
    assert found["report's test"] == pytest.approx(0.05, abs=0.015 + 0.01)
    assert found["study's own"] == pytest.approx(0.10, abs=0.03)
    found = simulate.rejections(clusters, n_groups, trials)
    assert found["report's test"] == pytest.approx(0.05, abs=0.015 + 0.01)
    assert found["over slices"] > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [10, 30, 100])
@pytest.mark.parametrize("scores", ["symmetric", "near_one"])
@pytest.mark.parametrize("sizes", ["one", "uneven"])
def test_intervals_cover_what_they_say(simulate, n_groups, scores, sizes):
    trials = 1000
    kind = getattr(simulate, scores), getattr(simulate, sizes)
    ours, plain, _ = simulate.coverage(*kind, n_groups, trials, seed=1)
    assert ours == pytest.approx(0.95, abs=0.02 + 0.014)
    assert plain < 0.93 or n_groups > 10


def test_the_docstring_tells_what_was_simulated():
    lines = (ROOT / "results" / "baselines" / "statistics.txt").read_text().splitlines()
    cells = {tuple(line.split()[:2]): line.split()[2:] for line in lines}
    told = [line.split() for line in bootstrap_interval.__doc__.splitlines()]
    kinds = [("symmetric", "uneven"), ("near_one", "uneven"), ("near_one", "heavy")]
    assert ["groups", *(word for kind in kinds for word in kind)] in told
    for column, groups in enumerate(("5", "10", "30", "100")):
        (row,) = [words for words in told if words[:1] == [groups] and "(" in words[-1]]
        simulated = [cells[kind][3 * column : 3 * column + 2] for kind in kinds]
        assert row[1:] == [word for pair in simulated for word in pair]
