"""Two runs compared, pair by pair: what counts, what is left out, and what that is evidence of."""

import numpy as np
import pandas as pd
import pytest
from helpers.by_hand import p_by_brute_force

from benchmark import stats
from benchmark.stats import bootstrap_interval, compare, pair, standardised_difference

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


@pytest.mark.parametrize("failed", [{}, {"s99": "no memory"}])
def test_pairs_of_equal_samples_are_those_of_samples_that_have_to_be_joined(failed):
    a, b = random_pair(0)
    a.loc["s03", "msa"], b.loc["s05", "both_empty"] = np.nan, True
    found, left_out = pair(a, b, failed_b=failed)
    for other in (b, b.iloc[::-1]):
        joined, also_left_out = pair(a.iloc[::-1], other, failed_b=failed)
        pd.testing.assert_frame_equal(found, joined, check_exact=True)
        assert left_out == also_left_out
    assert [each.sample for each in left_out] == ["s03", "s05", *failed]


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
