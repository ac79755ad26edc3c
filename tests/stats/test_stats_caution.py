"""Warnings of intervals that are too narrow: where they are, and rarely elsewhere."""

import numpy as np
import pytest

from benchmark.stats import bootstrap_interval, compare_pairs, holm, interval_caution, smallest_p
from benchmark.stats.permutation import sign_flip_p


def failures(rng, groups):
    """One group in twenty scores 0, the others about 0.9."""
    return np.where(rng.random(groups) < 0.05, 0, rng.normal(0.9, 0.03, groups))


def equals(rng, groups):
    """Nine differences in ten are exactly 0."""
    return np.where(rng.random(groups) < 0.9, 0, rng.normal(0.05, 0.05, groups))


def symmetric(rng, groups):
    return 0.5 + rng.normal(0, 0.18, groups)


def near_one(rng, groups):
    return rng.beta(7.2, 0.8, groups)


def with_zeros(rng, groups):
    """Three groups in ten score 0."""
    return np.where(rng.random(groups) < 0.3, 0, rng.beta(4.8, 3.2, groups))


def differences(rng, groups):
    return rng.normal(0.02, 0.05, groups)


def simulated(drawn, groups, worst, trials=300):
    """The shares of intervals that are warned of, that miss the mean, and of these warned of."""
    rng = np.random.default_rng(groups)
    truth = drawn(rng, 100_000).mean()
    names = [str(number) for number in range(groups)]
    warned, missed = [], []
    for seed in range(trials):
        values = drawn(rng, groups)
        low, high = bootstrap_interval(values, names, seed, resamples=400)
        warned.append(bool(interval_caution(values, names, low, worst)))
        missed.append(not low <= truth <= high)
    warned, missed = np.array(warned), np.array(missed)
    return warned.mean(), missed.mean(), warned[missed].mean() if missed.any() else 1.0


@pytest.mark.parametrize("groups", [5, 10, 30])
@pytest.mark.parametrize(("drawn", "worst"), [(failures, 0.0), (equals, None)])
def test_nearly_all_intervals_that_are_too_narrow_are_warned_of(drawn, worst, groups):
    _, missed, known = simulated(drawn, groups, worst)
    assert missed > 0.1  # it should be 0.05
    assert known > 0.9


@pytest.mark.parametrize(
    ("drawn", "worst", "groups"),
    [
        (symmetric, 0.0, 5), (symmetric, 0.0, 10), (symmetric, 0.0, 30),
        (near_one, 0.0, 30), (with_zeros, 0.0, 30),
        (differences, None, 5), (differences, None, 10), (differences, None, 30),
    ],
)  # fmt: skip
def test_of_other_data_less_than_one_in_twenty_is_warned_of(drawn, worst, groups):
    warned, missed, _ = simulated(drawn, groups, worst)
    assert warned < 0.05 and missed < 0.13


@pytest.mark.parametrize(("groups", "share"), [(5, 0.31), (10, 0.07)])
def test_few_scores_near_one_are_warned_of_as_often_as_said(groups, share):
    warned, _, known = simulated(near_one, groups, 0.0)
    assert warned == pytest.approx(share, abs=0.07) and known > 0.6


def test_each_reason_has_its_name():
    names = list("abcdefgh")
    alike = np.array([0.9, 0.91, 0.89, 0.9, 0.92, 0.88, 0.9, 0.91])
    low, _ = bootstrap_interval(alike, names)
    assert interval_caution(alike, names, low, 0.0) == "alike"
    assert interval_caution(alike, names, low) == ""  # nobody knows the worst of differences
    equal = np.array([0, 0, 0, 0, 0, 0.2, 0.3, -0.1])
    low, _ = bootstrap_interval(equal, names)
    assert interval_caution(equal, names, low) == "equal"
    half = np.array([0, 0, 0, 0, 0.1, 0.2, 0.3, -0.1])
    low, _ = bootstrap_interval(half, names)
    assert interval_caution(half, names, low) == ""


def test_what_counts_is_the_groups_not_the_images():
    # Two of eight groups hold most images; these are equal, the groups are not.
    names = ["a"] * 50 + ["b"] * 50 + list("cdefgh")
    values = np.array([0.0] * 100 + [0.1, -0.2, 0.3, 0.2, -0.1, 0.15])
    low, _ = bootstrap_interval(values, names)
    assert interval_caution(values, names, low) == ""
    # 0.1 + 0.2 and 0.3 differ in the last bit only.
    values = np.array([0.1 + 0.2 - 0.3, 0, 0, 0.1, 0.2])
    assert interval_caution(values, list("abcde"), 0.0) == "equal"
    with_gap = np.append(values, np.nan)
    assert interval_caution(with_gap, list("abcdef"), 0.0) == "equal"


def test_without_an_interval_there_is_no_warning():
    assert interval_caution([0.9] * 4, list("abcd"), np.nan, 0.0) == ""
    assert interval_caution([], [], np.nan, 0.0) == ""


@pytest.mark.parametrize("groups", range(6, 24))
def test_the_smallest_p_is_that_of_differences_of_one_sign(groups):
    assert smallest_p(groups) == pytest.approx(sign_flip_p(np.arange(1, groups + 1)), rel=1e-9)


def test_below_six_groups_there_is_no_p():
    assert np.isnan(smallest_p(5))
    assert holm([smallest_p(6), np.nan, smallest_p(6)])[0] == pytest.approx(0.0625)


def paired(difference, sizes=None):
    import pandas as pd

    sizes = [1] * len(difference) if sizes is None else sizes
    group = np.repeat([f"g{i:02d}" for i in range(len(difference))], sizes)
    difference = np.repeat(difference, sizes)
    return pd.DataFrame({"group": group, "a": 0.5 + difference, "b": 0.5, "difference": difference})


def test_interval_and_test_disagree_where_one_alone_finds_a_difference():
    alike = compare_pairs(paired([0.1, 0.12, 0.09, 0.11, 0.1, 0.13, 0.08]))
    assert alike.p < 0.05 and alike.interval[0] > 0 and not alike.interval_and_test_disagree
    assert alike.caution == ""
    # One large group is far ahead, the others are behind.
    found = compare_pairs(paired([0.2, *[-0.02] * 7], sizes=[3, *[40] * 7]))
    assert found.p > 0.05 and found.interval[1] < 0 and found.interval_and_test_disagree
    nothing = compare_pairs(paired([0.1, -0.12, 0.09, -0.11, 0.1, -0.13, 0.08]))
    assert not nothing.interval_and_test_disagree
    few = compare_pairs(paired([0.1, 0.12, 0.09, 0.11, 0.1]))
    assert few.p is None and not few.interval_and_test_disagree


def test_a_comparison_of_which_most_groups_are_equal_is_warned_of():
    assert compare_pairs(paired([0.0] * 9 + [0.1])).caution == "equal"
    assert compare_pairs(paired([0.0] * 4)).caution == ""
